"""English words that say how a note speaks of something: denied, doubted, of a relative, over."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from pipeline.history.concepts.words import tokens_of


class Kind(Enum):
    """What a cue does."""

    NOT = auto()
    """Denies what follows, to the end of the clause."""
    NOT_AFTER = auto()
    """Denies what stands before it."""
    UNSURE = auto()
    """Doubts what follows."""
    UNSURE_AFTER = auto()
    """Doubts what stands before it."""
    IF = auto()
    """Makes what follows a condition."""
    TOPIC = auto()
    """Makes the next words a risk, a plan or a subject of talk."""
    PLAN_AFTER = auto()
    """Makes what stands before it a plan."""
    KIN = auto()
    """A relative by blood."""
    FAMILY = auto()
    """The family's history as such."""
    STRANGER = auto()
    """Somebody else: a spouse, a friend."""
    PATIENT = auto()
    """The patient."""
    REPORTS = auto()
    """A person before it tells or sees, and is not meant."""
    SOURCE = auto()
    """A person behind it tells, sees or keeps company, and is not meant."""
    PAST = auto()
    """So in childhood, or long over."""
    BREAK = auto()
    """Begins another clause."""
    HALT = auto()
    """Ends the reach of a denial or doubt."""
    STOP = auto()
    """Ends the drug that follows."""
    STOP_AFTER = auto()
    """Ends the drug before it."""
    AGAIN = auto()
    """Begins the drug anew."""
    FORMER = auto()
    """The drug was taken once."""
    EMPTY = auto()
    """Looks like a cue and is none."""


_CUES = {
    Kind.EMPTY: """
        does not deny|do not deny|did not deny|doesn't deny|not only|no doubt|not surprisingly|
        no change in|no increase in|no wonder|not just|not merely|no doubt that|not unexpectedly|
        no less than|not to mention|with no warning|without any warning|without warning|
        no warning|no sooner|not until|not uncommon|on the one hand|on the other hand|
        right away|right now|all right|left handed|right handed|known to|not withstanding|
        despite no|no longer than|not long ago|no later than|no matter|not necessarily|
        without difficulty|without problems|without complications|without provocation|
        no clear trigger|no obvious trigger|no trigger|no cause|no improvement in|
        since childhood|since infancy|since birth|from childhood""",
    Kind.NOT: """
        no plan to|no plans to|no intention to|no intention of|no reason to|no need to|
        no|not|non|never|without|w / o|denies|denied|denying|deny|denial of|neither|nor|none of|
        none|nobody|nil|zero|free of|free from|clear of|absence of|absent|lack of|lacks|
        negative for|no evidence of|no sign of|no signs of|no history of|no hx of|no h / o|
        not known to|
        not have|n't|doesn't|didn't|hasn't|haven't|hadn't|isn't|wasn't|weren't|aren't|don't|won't|
        cannot|can't|couldn't|doesnt|didnt|hasnt|wasnt|no one|nothing to suggest|nothing like|
        no longer|no more|nowhere|unremarkable for|fails to reveal|failed to reveal|
        rather than|instead of|excludes|excluding|ruled out|rules out|escaped|spared|neg for|neg|
        negative|disclaims|refutes|rejects""",
    Kind.NOT_AFTER: """
        ruled out|was excluded|were excluded|is excluded|been excluded|are excluded|excluded by|
        is absent|are absent|was absent|were absent|absent|is denied|are denied|was denied|
        were denied|denied|has resolved|have resolved|had resolved|resolved completely|
        resolved|has settled|have settled|fully resolved|
        has disappeared|have disappeared|has gone|is gone|have gone|free|is negative|was negative|
        are negative|were negative|unlikely|is unlikely|is not likely|no longer|not present|
        is nil|fully recovered|has recovered|recovered fully|has subsided""",
    Kind.UNSURE: """
        possible|possibly|probable|probably|suspected|suspect|suspects|suspicion of|suspicious for|
        suspicious of|may have|may be|may|might|might be|might have|could be|could have|perhaps|
        maybe|unclear|unclear whether|unclear if|uncertain|uncertain whether|unsure|unsure whether|
        not sure|not certain|unknown whether|unknown if|not known whether|not known if|
        question of|questionable|query|queried|presumed|presumably|likely|presumptive|
        differential|differential diagnosis|rule out|r / o|to exclude|to rule out|cannot exclude|
        can't exclude|cannot rule out|can't rule out|not ruled out|not excluded|unlikely|vs|versus|
        wonders whether|whether|equivocal|doubtful|doubt|doubts|working diagnosis|conceivably|
        suggestive of|suggests|reminiscent of|raises the possibility of|possibility of|
        seems to have|apparently|allegedly|concern for|concerning for|evaluate for|
        assess for|screen for|looking for|exclude""",
    Kind.UNSURE_AFTER: """
        cannot be excluded|can not be excluded|can't be excluded|could not be excluded|
        not excluded|cannot be ruled out|could not be ruled out|not ruled out|is possible|
        are possible|was possible|possible|probable|suspected|is suspected|was suspected|
        were suspected|is likely|likely|questionable|is questioned|not certain|is uncertain|
        uncertain|unclear|is unclear|to be confirmed|to be excluded|unconfirmed|not confirmed|
        was considered|were considered|were queried|was queried|queried|not recorded|unknown|
        not documented|not done|not assessed|to be documented|to be assessed|not known|
        not available|pending""",
    Kind.IF: """
        if|in case|in case of|in the event of|in the event|should there be|unless|provided|
        whenever|as soon as|return for|until then|in the case of|were to|when required|as needed""",
    Kind.TOPIC: """
        risk of|risk for|risks of|at risk of|at risk for|chance of|likelihood of|danger of|
        prevent|prevents|preventing|prevention of|prophylaxis|prophylactic|prophylaxis against|
        prophylaxis for|prophylaxis of|avoid|avoiding|protect against|protection against|
        warned about|warned of|warn about|warning signs of|signs of|symptoms of|
        told about|informed about|informed of|information about|information on|leaflet|
        leaflet on|leaflet about|advice on|advice about|advised about|advised on|educated about|
        education about|education on|counselled about|counselled on|counseled about|discussed|
        discussed about|discussion of|discussion about|discuss|explained|talked about|
        asked about|asks about|asking about|questions about|question about|read about|
        how to recognise|how to recognize|how to treat|how to|what to do|
        fears|fear of|afraid of|frightened of|scared of|worried about|worries about|worry about|
        concerned about|concern about|anxious about|anxiety about|
        consider|considering|considered|consideration of|think about|thinking about|
        plan to start|plans to start|planned|plan for|planning|plan to|plan to avoid|
        would need|would start|would give|would recommend|would suggest|would|will start|
        will begin|will need|will receive|to start|to begin|to commence|to give|please start|
        suggest|suggest starting|recommend|recommend starting|recommended|offered|offer|declined|
        declines|refuses|refused|advised to start|should start|should receive|may need|might need|
        may require|could need|could try|option of|trial of|allergic to|allergy to|allergy|
        allergies|allergic|intolerant of|intolerant to|intolerance of|intolerance to|
        sensitivity to|reaction to|side effects of|side effect of|adverse effects of|
        benefits of|effects of|indication for|contraindication to|contraindicated|
        screening for|screening|screened for|tested for|testing for|programme about|
        program about|film about|book about|seminar on|trial on|study on|research on|charity|
        course on|first aid for|test for|watch for|look out for|monitor for|alert to|
        vaccination against|vaccine|protects from|looking into|interested in|
        rescue pack for|emergency plan for""",
    Kind.PLAN_AFTER: """
        to be started|to be begun|to be commenced|to be given|to be considered|to be discussed|
        should be started|should be given|should be considered|should be commenced|
        should be offered|should be discussed|will be started|will be given|will be considered|
        will be commenced|may be considered|may be started|may be given|may be needed|
        might be considered|might be needed|could be considered|could be given|could be started|
        can be considered|can be started|would be started|would be considered|is planned|
        are planned|was planned|planned|is considered|are considered|was considered|
        was discussed|were discussed|were explained|was explained|was offered|were offered|
        was declined|was refused|is recommended|was recommended|is advised|is indicated|
        are indicated|allergy|allergies|intolerance|screening|prophylaxis|prevention|
        leaflet|if needed|if required|if necessary""",
    Kind.KIN: """
        mother|father|mum|mom|mommy|dad|parent|parents|brother|brothers|sister|sisters|sibling|
        siblings|aunt|aunts|uncle|uncles|grandfather|grandmother|grandparent|grandparents|grandma|
        grandpa|son|sons|daughter|daughters|child|children|niece|nieces|nephew|nephews|cousin|
        cousins|grandson|granddaughter|grandchild|grandchildren|twin|relative|relatives|
        family member|family members|halfbrother|halfsister|kin|offspring|mother's|father's|
        brother's|sister's|son's|daughter's|aunt's|uncle's|cousin's|parent's|
        grandfather's|grandmother's|maternal side|paternal side|ancestors|forebears""",
    Kind.FAMILY: """
        family history|family hx|fam hx|fhx|fh|in the family|family|familial|hereditary|
        runs in the family|run in the family|ran in the family|in his family|in her family|
        within the family|relatives with|among relatives""",
    Kind.STRANGER: """
        wife|husband|spouse|partner|girlfriend|boyfriend|fiance|neighbour|neighbor|neighbours|
        neighbors|friend|friends|colleague|colleagues|coworker|workmate|boss|flatmate|roommate|
        room mate|lodger|landlord|landlady|tenant|carer|caregiver|teacher|employer|employee|
        stepfather|stepmother|stepson|stepdaughter|stepbrother|stepsister|mother in law|
        father in law|brother in law|sister in law|son in law|daughter in law|fellow patient|
        another patient|dog|cat|wife's|husband's|partner's|friend's|classmate|foster child|
        acquaintance|client|customer|pupil|team mate|teammate|godfather|godmother|widow|ex wife""",
    Kind.PATIENT: """
        patient|pt|himself|herself|he himself|she herself|his own|her own|personally|
        he|she|i""",
    Kind.REPORTS: """
        reports|reported|reporting|says|said|states|stated|tells|told|describes|described|
        witnessed|witnesses|saw|sees|seen|observed|observes|noticed|notices|noted|found|finds|
        heard|thinks|thought|believes|believed|confirms|confirmed|mentions|mentioned|recalls|
        recalled|remembers|gives|gave|called|calls|rang|phoned|brought|brings|accompanied|
        accompanies|came|drove|worries|worried|watched|filmed|recorded|is concerned|wonders|
        discovered|insists|claims|adds|added|corroborates|asked|asks|is present|attended|
        feels|denies|denied|provided""",
    Kind.SOURCE: """
        by|according to|per|with|told|informs|informed|lives with|visiting|met|visited|for|helping|
        helped|in front of|history from|collateral from|asked|beside|alongside|near|via|
        accompanied by|witnessed by|seen by|observed by|reported by|from""",
    Kind.PAST: """
        as a child|as a boy|as a girl|as a baby|as a newborn|as an infant|as a toddler|
        as a teenager|as a young child|as a small child|as a kid|as an adolescent|in childhood|
        in infancy|in early childhood|in adolescence|in youth|in his childhood|in her childhood|
        in his youth|in her youth|during childhood|during infancy|childhood|in his teens|
        in her teens|as a schoolboy|as a schoolgirl|at school age|when he was a child|
        when she was a child|when he was a boy|when she was a girl|when a child|when young|
        when very young|in early life|grew out of|grown out of|outgrew|outgrown|decades ago|
        many years ago|long ago|remote|remote history of|in the distant past|neonatal|
        years before|as a young man|as a young woman|in his twenties|in her twenties|
        during his school days|during her school days|juvenile""",
    Kind.BREAK: """
        but|however|although|though|whereas|while|whilst|except|except for|apart from|
        aside from|other than|yet|which|who|;|nevertheless|still|otherwise|on the contrary|
        besides""",
    Kind.HALT: """
        since|because|because of|due to|owing to|despite|in spite of|after|before|until|following|
        caused by|secondary to|as a result of|attributed to|related to|except|so|for which|
        responsible for|in addition to|aside|as|when|where|that|then|over""",
    Kind.STOP: """
        stopped|stop|stopping|stops|discontinued|discontinue|discontinuing|discontinuation of|
        off|come off|came off|coming off|taken off|is off|ceased|cease|ceasing|cessation of|
        withdrew|withdrawn|withdraw|withdrawing|withdrawal of|withdrawn from|weaned off|
        weaned from|wean off|weaning off|tapered off|taper off|tailed off|phased out|
        finished|finish|completed|completion of|completed a course of|finished the course of|
        gave up|given up|giving up|quit|paused|pausing|held|hold|holding|withheld|withholding|
        halted|suspended|ended|terminated|broke off|broken off|broke off with|dropped|
        d / c|d / c'd|dc'd|dc|d / ced|no longer on|no longer takes|no longer taking|
        no longer uses|no longer needs|no longer receives|no longer requires|last tablet of|
        last dose of|last tablets of|end of|rid of|dispensed with|refuses|declines|declined|
        omitted|abandoned""",
    Kind.STOP_AFTER: """
        stopped|discontinued|ceased|withdrawn|was withdrawn|weaned off|weaned and stopped|
        tapered off|tailed off|tapered and stopped|phased out|finished|completed|given up|ended|
        paused|on hold|put on hold|held|withheld|halted|suspended|terminated|broken off|off|
        d / c|d / c'd|dc'd|dc|d / ced|until|till|no longer required|no longer needed|
        no longer taken|no longer given|is no longer|are no longer|no longer|has run out|ran out|
        is over|was over|dropped|omitted|
        was cut short|came to an end|to an end|cancelled|taken away|abandoned|stopped taking""",
    Kind.AGAIN: """
        restarted|resumed|recommenced|reintroduced|re started|re introduced|reinstated|
        started again|back on|taken up again|begun again|given again|restart|resume""",
    Kind.FORMER: """
        previously on|formerly on|once on|earlier on|previously took|formerly took|
        previously taking|used to take|used to be on|used to use|used to have|was on|were on|
        had been on|was taking|previous treatment with|past treatment with|previously treated with|
        formerly treated with|was once on|past use of|previous use of|former|ex|was previously on|
        was formerly on|took|earlier treatment with|previously received""",
}
NAMED_VALUES_NONE = frozenset({
    "no", "none", "nil", "negative", "neg", "absent", "never", "denied", "denies", "zero", "0",
    "not", "nein", "n", "unremarkable", "nad",
})  # fmt: skip
HAPPENS = frozenset({
    "observed", "seen", "found", "reported", "noted", "noticed", "present", "witnessed", "occurred",
    "occur", "happened", "happen", "recurred", "recur", "confirmed", "detected", "identified",
    "mentioned", "evident", "demonstrated", "shown", "experienced", "documented", "apparent",
    "come", "returned", "developed", "develop", "elicited", "appreciated", "visible", "felt",
    "been", "taken", "given", "used", "prescribed", "required", "needed", "started", "begun", "had",
    "describe", "described", "a", "an", "on", "received", "suffered", "there", "arisen", "emerged",
})  # fmt: skip
ASSERTS = frozenset({
    "has", "had", "have", "is", "was", "were", "are", "reports", "did", "does", "takes", "took",
    "presents", "presented", "suffers", "suffered", "continues", "continued", "remains",
    "remained", "complains", "admits", "developed", "describes", "feels", "needs", "needed",
    "now", "he", "she", "they", "we", "patient", "pt", "there", "also", "uses", "receives", "keeps",
    "shows", "started", "woke", "died", "will", "should", "can", "must", "may", "might", "this",
})  # fmt: skip
DETERMINERS = frozenset({
    "a", "an", "the", "his", "her", "their", "our", "my", "two", "one", "three", "several",
    "maternal", "paternal", "older", "younger", "elder", "eldest", "youngest", "half", "step",
    "first", "second", "degree", "close", "great", "both", "another", "other", "some", "many",
    "any", "twin", "late", "only", "distant", "patient's", "of", "more", "four", "near",
})  # fmt: skip
JOINERS = frozenset({"in", "on", "of", "for", "(", ":", "-", ",", "and", "affecting", "among", "=",
                     "/"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue in a sentence: the tokens ``first`` to ``last``, both included."""

    kind: Kind
    first: int
    last: int


def _compiled() -> dict[str, list[tuple[tuple[str, ...], tuple[Kind, ...]]]]:
    kinds: defaultdict[tuple[str, ...], list[Kind]] = defaultdict(list)
    for kind, text in _CUES.items():
        for phrase in text.split("|"):
            kinds[tuple(token.text for token in tokens_of(phrase.strip()))].append(kind)
    compiled: defaultdict[str, list[tuple[tuple[str, ...], tuple[Kind, ...]]]] = defaultdict(list)
    for words in sorted(kinds, key=len, reverse=True):
        compiled[words[0]].append((words, tuple(kinds[words])))
    return dict(compiled)


_COMPILED = _compiled()
CUE_WORDS = frozenset(word for phrases in _COMPILED.values() for words, _ in phrases
                      for word in words) | HAPPENS | ASSERTS  # fmt: skip


def cues_in(words: Sequence[str]) -> list[Cue]:
    """Return the cues of a sentence; one phrase may be of two kinds.

    The longest counts at each place, and none inside another: in `as a child` there is no child.
    """
    found: list[Cue] = []
    covered = -1
    for place, word in enumerate(words):
        for phrase, kinds in _COMPILED.get(word, ()):
            last = place + len(phrase) - 1
            if last > covered and tuple(words[place : last + 1]) == phrase:
                found += [Cue(kind, place, last) for kind in kinds]
                covered = last
                break
    return found
