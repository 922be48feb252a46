"""Articles, made from the words of a subject, of one of its topics, and of a form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from articles.demo.people import Person
from articles.demo.vocabulary import Form, Subject, Topic, Vocabulary

NUMBERS = {3: "three", 4: "four", 5: "five"}
MINUTES = ("ten", "fifteen", "twenty", "thirty")
YEARS = [
    "two years",
    "three years",
    "four years",
    "five years",
    "six years",
    "seven years",
    "ten years",
    "twelve years",
    "six months",
    "nine months",
    "eighteen months",
    "two winters",
    "three summers",
]
LEADS = ("In code:", "A small example:", "It looks like this:", "Stripped down to the essentials:")
# After so many repeated titles, a title is used twice.
TITLE_TRIES = 6


@dataclass(slots=True, eq=False)
class Draft:
    """An article in the making. `slots` has the values for the slots of its sentences."""

    author: Person
    subject: Subject
    topic: Topic
    form: Form
    slots: dict[str, str] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)  # not used yet
    reflections: list[str] = field(default_factory=list)
    bridges: list[str] = field(default_factory=list)
    title: str = ""
    description: str = ""
    body: str = ""
    tags: list[str] = field(default_factory=list)

    def fill(self, sentence: str) -> str:
        return sentence.format_map(self.slots)


class Writer:
    def __init__(self, rng: Random, words: Vocabulary) -> None:
        self._rng = rng
        self._words = words
        self._form_shares = [form.share for form in words.forms]
        self._names = [name for country in words.countries for name in country.given]
        # Bounded by the number of possible titles, not by the number of articles.
        self._seen: set[str] = set()

    def write(self, author: Person, last_month: str) -> Draft:
        rng = self._rng
        subject = author.subjects[0]
        if rng.random() < 0.4:
            subject = rng.choice(author.subjects)
        topic = rng.choice(subject.topics)
        (form,) = rng.choices(self._words.forms, self._form_shares)
        draft = Draft(author, subject, topic, form)
        draft.slots = self._slots(draft, last_month)
        draft.facts = rng.sample(topic.facts, len(topic.facts))
        draft.reflections = rng.sample(subject.reflections, len(subject.reflections))
        draft.bridges = rng.sample(form.bridges, len(form.bridges))
        draft.title = self._title(draft, last_month)
        draft.description = self._description(draft)
        draft.body = "\n\n".join(self._paragraphs(draft))
        draft.tags = self._tags(draft)
        return draft

    def _slots(self, draft: Draft, last_month: str) -> dict[str, str]:
        rng = self._rng
        slots = {
            "topic": draft.topic.name,
            "doing": draft.topic.doing,
            "subject": draft.subject.name,
            "place": draft.author.place,
            "month": last_month,
            "friend": rng.choice(self._names),
            "years": rng.choice(YEARS),
            "minutes": rng.choice(MINUTES),
            "five": rng.choice(tuple(NUMBERS.values())),
        }
        return slots | {name.capitalize(): capital(text) for name, text in slots.items()}

    def _title(self, draft: Draft, last_month: str) -> str:
        own = self._rng.random() < draft.form.own_titles
        title = draft.fill(self._rng.choice(draft.topic.titles if own else draft.form.titles))
        for _ in range(TITLE_TRIES):
            if title not in self._seen:
                break
            draft.slots = self._slots(draft, last_month)
            title = draft.fill(self._rng.choice(draft.form.titles))
        self._seen.add(title)
        return title

    def _description(self, draft: Draft) -> str:
        if self._rng.random() < 0.45:
            return draft.facts[0].replace("`", "")
        return draft.fill(self._rng.choice(draft.form.descriptions))

    def _paragraphs(self, draft: Draft) -> Iterator[str]:
        for headings, block in self._rng.choice(draft.form.plans):
            if headings:
                yield f"## {self._rng.choice(headings.split('|'))}"
            yield BLOCKS[block](self._rng, draft)

    def _tags(self, draft: Draft) -> list[str]:
        """Always the topic's first tag, nearly always the subject's tag, others less often."""
        first, *others = draft.topic.tags
        chances = [(draft.subject.tag, 0.92), (draft.form.tag, 0.15)]
        chances += [(name, 0.5) for name in others]
        chances += [(name, 0.25) for name in draft.subject.side_tags]
        drawn = [name for name, chance in chances if self._rng.random() < chance]
        return list(dict.fromkeys([first, *drawn]))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _opening(rng: Random, draft: Draft) -> str:
    sentence = draft.fill(rng.choice(draft.form.openings + draft.subject.scenes))
    if rng.random() < 0.6:
        sentence += f"\n\n{_reflection(rng, draft)}"
    return f"{sentence}\n\n{draft.facts.pop()}"


def _facts(rng: Random, draft: Draft) -> str:
    told = f"{draft.facts.pop()} {draft.facts.pop()}"
    if rng.random() < 0.8:
        told = f"{draft.fill(draft.bridges.pop())} {told}"
    return f"{told}\n\n{_reflection(rng, draft)}" if rng.random() < 0.5 else told


def _points(rng: Random, draft: Draft) -> str:
    return "\n".join(f"- {draft.facts.pop()}" for _ in range(3))


def _numbered(rng: Random, draft: Draft) -> str:
    count = next(count for count, word in NUMBERS.items() if word == draft.slots["five"])
    return "\n".join(f"{number}. {draft.facts.pop()}" for number in range(1, count + 1))


def _steps(rng: Random, draft: Draft) -> str:
    steps = enumerate(draft.topic.steps, start=1)
    return "\n".join(f"{number}. {step}" for number, step in steps)


def _reminders(rng: Random, draft: Draft) -> str:
    first = rng.randrange(len(draft.topic.steps) - 2)
    return "\n".join(f"- {step}" for step in draft.topic.steps[first : first + 3])


def _specimen(rng: Random, draft: Draft) -> str:
    """The code of the topic, or a quote if the topic has no code."""
    if not draft.topic.code:
        return _quote(rng, draft)
    code = f"```{draft.subject.language}\n{draft.topic.code.strip()}\n```"
    return f"{rng.choice(LEADS)}\n\n{code}"


def _quote(rng: Random, draft: Draft) -> str:
    said, by = rng.choice(draft.subject.quotes)
    return f"> {said}\n>\n> — *{by}*"


def _reflection(rng: Random, draft: Draft) -> str:
    return draft.fill(draft.reflections.pop())


def _closing(rng: Random, draft: Draft) -> str:
    closing = draft.fill(rng.choice(draft.form.closings))
    if rng.random() < 0.5:
        label, url = rng.choice(draft.subject.links)
        closing += f"\n\n**Further reading:** [{label}]({url})"
    return closing


BLOCKS: dict[str, Callable[[Random, Draft], str]] = {
    "opening": _opening,
    "facts": _facts,
    "points": _points,
    "numbered": _numbered,
    "steps": _steps,
    "reminders": _reminders,
    "specimen": _specimen,
    "quote": _quote,
    "reflection": _reflection,
    "closing": _closing,
}
