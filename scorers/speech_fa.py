"""What Leadpulse says in Persian."""

from typing import Final

TEMPLATES: Final = {
    # one reason
    "reason": "{what}: {points}",
    "what.event": "{title}، {ago}",
    "what.events": "{title}، {times}، آخرین بار {ago}",
    "what.value": "{title} ({value})",
    "what.silence": "{title}، آخرین فعالیت {ago}",
    "what.dormancy": (
        "{title}، آخرین فعالیت {ago}؛ از امتیاز {groups} تنها {share} به حساب می‌آید"
    ),
    "points.of": "{points} از {whole}",
    "points.most": "{points}، بیشترین امتیاز ممکن",
    "points.least": "{points}، بیشترین کسر ممکن",
    "short.no-consent": "بدون رضایت برای {purpose}",
    "short.value": "{title}: {value}",
    "short.times": "{title} ({times})",
    "short.share": "{title}: تنها {share} به حساب می‌آید",
    "share": "{percent} درصد",
    "times": "{count} بار",
    # time
    "now": "همین حالا",
    "ago.minute": "{count} دقیقه پیش",
    "ago.hour": "{count} ساعت پیش",
    "ago.day": "{count} روز پیش",
    "on": "در {date}",
    "moment": "{date}، ساعت {time} به وقت جهانی",
    # thresholds
    "threshold.higher": (
        "هشدار {alert} اکنون از {now} امتیاز آغاز می‌شود، نه از {usual}: سرنخ‌های داغ "
        "بیش از توان رسیدگی است."
    ),
    "threshold.lower": (
        "هشدار {alert} اکنون از {now} امتیاز آغاز می‌شود، نه از {usual}: برای "
        "سرنخ‌های بیشتری فرصت هست."
    ),
    # lists and values
    "list.comma": "، ",
    "list.last": "{rest} و {last}",
    "value.yes": "بله",
    "value.no": "خیر",
    # the sections
    "heading.for": "آنچه به سود این سرنخ است",
    "heading.against": "آنچه به زیان اوست",
    "heading.unknown": "آنچه نمی‌دانیم",
    "heading.changes": "تغییرات از دیروز تاکنون",
    "heading.way": "چه چیزی او را {tier} می‌کند",
    "heading.thresholds": "هشدارها اکنون از کجا آغاز می‌شوند",
    "heading.ledger": "امتیاز چگونه به دست آمده است",
    "heading.next": "اقدام بعدی",
    "score": "{score} از {ceiling} امتیاز، {tier}، در {at}",
    "score.grade": "{score} از {ceiling} امتیاز، {tier}، رتبهٔ {grade}، در {at}",
    "for.none": "هنوز هیچ چیزی به سود این سرنخ نیست.",
    "unknown": (
        "{traits} نامشخص است؛ آنچه نامشخص است نه به سود سرنخ است و نه به زیان او."
    ),
    "changes.rose": "امتیاز از {before} به {after} رسید ({points}).",
    "changes.fell": "امتیاز از {before} به {after} کاهش یافت ({points}).",
    "changes.same": "امتیاز همان است که بود: {after}.",
    "changes.new": "این سرنخ تازه است؛ امتیازش {after} است.",
    "change": "{title}: {points}",
    "change.faded": "{title}، کم‌رنگ شد: {points}",
    "change.eased": "{title}، اثرش کمتر شد: {points}",
    "way.there": "هم‌اکنون {tier} است: {tier} از {target} آغاز می‌شود.",
    "way.missing": "{missing} امتیاز کم دارد: {tier} از {target} آغاز می‌شود.",
    "way.plan": "با {options} امتیازش به {reaches} می‌رسد.",
    "way.short": "حتی با {options} امتیازش تنها به {reaches} می‌رسد.",
    "way.none": "هیچ‌یک از مواردی که مدل می‌شناسد امتیازش را بالا نمی‌برد.",
    "way.others": "هر یک از این‌ها نیز کمک می‌کند: {options}.",
    "way.option": "«{title}» ({points})",
    "ledger.line": "{title}: {points}",
    "ledger.rule maximum": "{title}، بیش از سقف {bound}: {points}",
    "ledger.group cap": "{title}، بیش از سقف {bound}: {points}",
    "ledger.group floor": "{title}، کمتر از کف {bound}: {points}",
    "ledger.dormancy": "{title}، برای {group}: {points}",
    "ledger.highest score": "بیش از بالاترین امتیاز {bound}: {points}",
    "ledger.lowest score": "کمتر از پایین‌ترین امتیاز {bound}: {points}",
    "ledger.sum": "جمع: {sum}؛ امتیاز پس از گرد کردن: {score}",
    # what machines did
    "machine.opened": "بازشده به دست {who}، به حساب نیامد",
    "machine.clicked": "کلیک {who}، به حساب نیامد",
    "machine.unsubscribed": "لغو اشتراک به دست {who}، به حساب نیامد",
    "machine.did": "کار {who}، به حساب نیامد",
    "machine.times": "{what} ({times})",
    "who.flagged": "یک ماشین",
    "who.staff": "کارکنان خودتان",
    "who.scanner": "پویشگر ایمیل",
    "who.automation": "یک برنامه",
    "who.crawler": "یک خزندهٔ وب",
    "who.data-centre": "ماشینی در مرکز داده",
    "who.proxy": "واسط ایمیل",
    "heading.machines": "کارهای ماشین‌ها",
    "machine.when": "{what}، {ago}",
    # what is withheld for want of consent
    "withheld.since": "از {date} بدون رضایت برای {purpose}",
    "withheld.never": "بدون رضایت برای {purpose}",
    "withheld.then": "در آن زمان رضایتی برای {purpose} نبود",
    "withheld.events": "{why}: {count} رویداد به حساب نیامد",
    "withheld.nothing": "{why}: چنین رویدادهایی به حساب نمی‌آیند",
    "withheld.event": "{why}، به حساب نیامد",
    "heading.withheld": "آنچه به حساب نیامد",
    # accounts
    "account.people": "{count} نفر در {within} فعال بودند",
    "account.usual": "{count} نفر در ۲۴ ساعت، در یک روز معمولی {usual} نفر",
    "account.person": "شخصی با {score} امتیاز ({tier})",
    "account.person.did": "شخصی با {score} امتیاز ({tier}): {did}",
    # spans
    "span.second": "{count} ثانیه",
    "span.minute": "{count} دقیقه",
    "span.hour": "{count} ساعت",
    "span.day": "{count} روز",
}

TIERS: Final = {
    "gold": "طلایی",
    "silver": "نقره‌ای",
    "bronze": "برنزی",
    "none": "بدون سطح",
}

TRAITS: Final = {
    "age": "سن",
    "annual_revenue": "درآمد سالانه",
    "budget": "بودجه",
    "city": "شهر",
    "company": "شرکت",
    "consent": "رضایت",
    "country": "کشور",
    "customer_class": "ردهٔ مشتری",
    "do_not_call": "تمایل نداشتن به تماس",
    "email_domain": "دامنهٔ ایمیل",
    "employees": "اندازهٔ شرکت",
    "industry": "صنعت",
    "lifecycle_stage": "مرحلهٔ سفر مشتری",
    "occupation": "شغل",
    "paid_by": "پرداخت‌کننده",
    "seniority": "جایگاه سازمانی",
    "title": "عنوان شغلی",
}
