// Sound and notices for hot leads: by choice, kept in this browser.

import { t, toast } from "./page.js";

const kept = (name) => localStorage.getItem(`lp.${name}`) === "on";

/** The two buttons, and what they say. */
export class Choices {
  constructor() {
    this.sound = kept("sound");
    this.notices = kept("notices") && Notification?.permission === "granted";
    for (const name of ["sound", "notices"]) {
      const button = document.getElementById(name);
      button.setAttribute("aria-pressed", this[name]);
      button.addEventListener("click", () => this.turn(name, button));
    }
  }

  async turn(name, button) {
    let on = !this[name];
    if (on && name === "notices" && (await Notification.requestPermission()) !== "granted") {
      toast(t("now.notices.refused"), "bad");
      on = false;
    }
    this[name] = on;
    localStorage.setItem(`lp.${name}`, on ? "on" : "off");
    button.setAttribute("aria-pressed", on);
    if (on && name === "sound") chime();
  }
}

let audio = null;

/** Two short notes. */
export function chime() {
  audio ??= new AudioContext();
  const begin = audio.currentTime;
  [660, 880].forEach((pitch, i) => {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, begin + i * 0.14);
    volume.gain.exponentialRampToValueAtTime(0.12, begin + i * 0.14 + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, begin + i * 0.14 + 0.3);
    tone.connect(volume).connect(audio.destination);
    tone.start(begin + i * 0.14);
    tone.stop(begin + i * 0.14 + 0.32);
  });
}

export function notify(text, leadId) {
  const notice = new Notification(text, { tag: leadId });
  notice.onclick = () => {
    focus();
    location.assign(`/leads/${leadId}`);
  };
}
