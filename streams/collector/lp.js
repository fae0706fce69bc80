/* Leadpulse's snippet: docs/snippet.md. Apache-2.0. Sets no cookie, loads nothing. */
(function () {
  'use strict'
  var w = window, d = document, nav = navigator
  var tag = d.currentScript || d.querySelector('script[data-write-key]')
  var before = w.leadpulse
  if (!tag || !tag.dataset.writeKey || (before && before.version)) return

  var said = tag.dataset
  var url = (said.endpoint || new URL(tag.src).origin).replace(/\/$/, '') + '/v1/batch'
  var optIn = said.consent === 'required'
  var deaf = said.signals !== 'ignore' &&
    (nav.globalPrivacyControl || /^(1|yes)$/.test(nav.doNotTrack || w.doNotTrack))
  var kept = said.storage !== 'none'
  var KEY = 'leadpulse'

  var granted = !optIn // may we send?
  var words // what was said of consent on this page; undefined: nothing
  var who // {a: anonymous id, u: user id}; undefined: not asked for yet
  var queue = [], timer
  var seen, from = d.referrer // the last page view, and where it came from

  // ── who ──────────────────────────────────────────────────────────────────────

  function id() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
      return (byte + 256).toString(16).slice(1)
    }).join('')
  }
  function store(value) { // storage may be forbidden: then a page is a visit
    try {
      if (value === undefined) return JSON.parse(localStorage.getItem(KEY)) || {}
      if (value) localStorage.setItem(KEY, JSON.stringify(value))
      else localStorage.removeItem(KEY)
    } catch (e) { }
    return {}
  }
  function refused() { // on an earlier page; where consent is required, it says so itself
    return kept && !optIn && !deaf && store().off
  }
  function me() {
    if (!who) who = kept ? store() : {}
    if (!who.a) {
      who.a = id()
      if (kept) store(who)
    }
    return who
  }

  // ── sending ──────────────────────────────────────────────────────────────────

  function open() { // may anything leave, or be kept?
    return granted && !deaf
  }
  function route() { // of a page whose addresses stand behind the #
    return (/^#!?(\/.*)/.exec(location.hash) || [])[1]
  }
  function here() {
    return location.pathname + location.search + (route() || '')
  }
  function send(type, fields) {
    if (!open()) return
    var campaign
    new URLSearchParams(location.search).forEach(function (value, name) {
      if (!/^utm_/.test(name)) return
      campaign = campaign || {}
      campaign[name === 'utm_campaign' ? 'name' : name.slice(4)] = value
    })
    queue.push(Object.assign({
      type: type,
      messageId: id(),
      timestamp: new Date().toISOString(),
      anonymousId: me().a,
      userId: who.u,
      context: {
        library: { name: 'lp.js', version: api.version },
        page: {
          url: location.href, path: route() || location.pathname, search: location.search,
          referrer: from, title: d.title
        },
        userAgent: nav.userAgent,
        locale: nav.language,
        campaign: campaign,
        consent: words
      }
    }, fields))
    if (queue.length > 19) flush()
    else timer = timer || setTimeout(flush, 50)
  }
  function flush() {
    clearTimeout(timer)
    timer = 0
    if (!queue.length) return
    var body = JSON.stringify({
      writeKey: said.writeKey, sentAt: new Date().toISOString(), batch: queue
    })
    queue = []
    // A text needs no preflight, and both outlive the page.
    if (!(nav.sendBeacon && nav.sendBeacon(url, body))) {
      fetch(url, {
        method: 'POST', body: body, keepalive: true, credentials: 'omit', mode: 'no-cors'
      }).catch(function () { })
    }
  }

  // ── what the page may call ───────────────────────────────────────────────────

  var calls = {
    page: function (name, properties) {
      if (open()) seen = here()
      send('page', { name: name, properties: properties })
    },
    track: function (name, properties) {
      send('track', { event: name, properties: properties })
    },
    identify: function (user, traits) {
      if (user && typeof user === 'object') {
        traits = user
        user = 0
      }
      if (!open()) return
      if (user) {
        me().u = String(user)
        if (kept) store(who)
      }
      send('identify', { traits: traits })
    },
    consent: function (answer) {
      granted = answer && typeof answer === 'object'
        ? Object.keys(answer).some(function (name) { return answer[name] })
        : !!answer
      words = granted ? answer : undefined
      if (granted) {
        if (refused()) store(null)
        view()
      } else {
        queue = []
        who = undefined
        // Where all may be tracked, a refusal has to be remembered to be kept.
        if (kept && !deaf) store(optIn ? null : { off: 1 })
      }
    },
    reset: function () {
      who = undefined
      if (kept && open()) store(null)
    }
  }
  function api(call) {
    if (calls.hasOwnProperty(call)) calls[call].apply(0, [].slice.call(arguments, 1))
  }
  api.version = '1'
  w.leadpulse = api

  // ── what happens by itself ───────────────────────────────────────────────────

  function view() { // one for each address, however often it is asked
    if (said.pages !== 'off' && !d.prerendering && open() && here() !== seen) calls.page()
  }
  var left = location.href
  function moved() {
    var previous = left
    left = location.href
    if (left === previous) return
    setTimeout(function () { // the new page has set its title by then
      if (here() !== seen) from = previous
      view()
    }, 0)
  }
  ;['pushState', 'replaceState'].forEach(function (name) {
    var original = history[name]
    history[name] = function () {
      var result = original.apply(this, arguments)
      moved()
      return result
    }
  })
  w.addEventListener('popstate', moved)
  w.addEventListener('pageshow', function (event) {
    if (event.persisted) { // back from the cache of pages: seen once more
      seen = 0
      view()
    }
  })
  d.addEventListener('prerenderingchange', view)
  w.addEventListener('pagehide', flush)
  d.addEventListener('visibilitychange', flush)

  function marked(element, properties) { // data-lp-prop-plan="pro": {plan: 'pro'}
    for (var name in element.dataset) {
      if (/^lpProp./.test(name)) {
        properties[name.slice(6).replace(/^./, function (c) { return c.toLowerCase() })] =
          element.dataset[name]
      }
    }
    return properties
  }
  function clicked(event) {
    if (event.type === 'auxclick' && event.button !== 1) return
    var target = event.target
    var element = target.closest &&
      target.closest('[data-lp-offer],[data-lp-download],[data-lp-track]:not(form)')
    if (!element) return
    var mark = element.dataset, link = element.href, properties = marked(element, {})
    if (link) properties.link_url = link
    if ('lpOffer' in mark) {
      properties.offer = mark.lpOffer || link
      calls.track('Offer Clicked', properties)
    }
    if ('lpDownload' in mark) {
      var file = /\.(\w+)(?:[?#]|$)/.exec(link)
      properties.asset_id = mark.lpDownload || link
      properties.asset_type = mark.lpType || (file ? file[1].toLowerCase() : undefined)
      calls.track('Content Downloaded', properties)
    }
    if (mark.lpTrack) calls.track(mark.lpTrack, properties)
  }
  d.addEventListener('click', clicked, true)
  d.addEventListener('auxclick', clicked, true)

  d.addEventListener('submit', function (event) {
    var form = event.target, mark = form.dataset
    if (!('lpForm' in mark)) return
    var traits = {}, any = 0
    // Nothing is read from a form but the fields that are marked.
    Array.from(form.elements).forEach(function (field) {
      var name = field.dataset.lpTrait, box = field.type === 'checkbox'
      if (!name || field.type === 'password' || (field.type === 'radio' && !field.checked)) return
      var value = box ? field.checked : field.value.trim()
      if (value !== '') traits[name] = value, any = 1
    })
    if (any) calls.identify(traits)
    calls.track(mark.lpTrack || 'Form Submitted', marked(form, {
      form_id: mark.lpForm || form.getAttribute('id') || undefined
    }))
    flush()
  }, true)

  if (refused()) granted = false
  // What the page said while this was on its way.
  ;((before && before.q) || []).forEach(function (call) { api.apply(0, call) })
  view()
})()
