"""The protocol that both ends of an encrypted run speak: its messages, and the states of a round.

Three kinds of messages travel, each a header and records (`framing`):

    download      from the aggregator to every site: the rosters since the last sum, that sum, and
                  the nonces of the updates in it
    update        from a site in the roster: its masked and encrypted share, the nonce of its MACs,
                  and an announcement
    announcement  from a site that sends no update: only its announcement for the next round

A round goes through these states, at each party by itself; the arrows are all that is allowed.

     state       at the aggregator                      at a site
     ---------   ------------------------------------   -------------------------------------------
     gathering   takes announcements for the first      has announced, and knows of no round yet
         |       round
     gathered    has closed the round's roster          knows from its disk that the round has begun
         |
     open        hands the model down, and puts each    has verified model, roster and the rounds
         |       answer on disk as it comes             before; may train, once
         |
       sealed    -                                      has noted outside the workspace that it
         |                                              encrypts, and used up its mask key; if the
         |                                              update is not kept, it is lost
         |
       kept      has ended the round: which answers     its whole message is on disk: from here the
       |    |    count is fixed                         round is answered with these bytes, or not
       |    |                                           at all
    summed  void    every site of the roster was added;    learns which of the two it was from the
                or one is missing: the model stays     next round's download

An ended round is followed by the next, which is gathered from the announcements that came with the
answers. A site that sends no update goes from open to the end directly, and one that was away may
miss rounds; so does one whose mask key is gone, or whose update was lost between sealed and kept:
it only announces, and the round is void. After a restart a party begins in the state that its disk
proves: a site in `gathered` (its `kept` message is found when the round is opened again), the
aggregator in `open`.
"""

from enum import StrEnum

VERSION = 2  # of the messages; parties of another understand nothing of each other
DOWNLOAD, UPDATE, ANNOUNCEMENT = "download", "update", "announcement"  # kinds of messages
LEAVE, STOP = "leave", "stop"  # why an answer brings no announcement: the budget of privacy


class OutOfOrder(Exception):
    """A step that the round's state does not allow: a fault in this program, not in a party."""


class State(StrEnum):
    """How far a round is; see the drawing above."""

    GATHERING = "gathering"
    GATHERED = "gathered"
    OPEN = "open"
    SEALED = "sealed"
    KEPT = "kept"
    SUMMED = "summed"
    VOID = "void"


ENDED = (State.SUMMED, State.VOID)
# What may follow. A model may be opened again, and a kept message be found or sent again.
NEXT = {
    State.GATHERING: (State.GATHERED,),
    State.GATHERED: (State.OPEN, *ENDED),
    State.OPEN: (State.OPEN, State.SEALED, State.KEPT, *ENDED),
    State.SEALED: (State.KEPT,),
    State.KEPT: (State.KEPT, *ENDED),
    State.SUMMED: (),
    State.VOID: (),
}


class Round:
    """One party's round. number: -1 before the first of which it knows."""

    def __init__(self, number: int = -1, state: State = State.GATHERING) -> None:
        self.number = number
        self.state = state

    def to(self, state: State) -> None:
        """Go on to a state. OutOfOrder: it cannot follow the present one."""
        if state not in NEXT[self.state]:
            raise OutOfOrder(
                f"Round {self.number} is {self.state}, it cannot become {state}; allowed: "
                f"{', '.join(NEXT[self.state]) or 'to begin another'}."
            )
        self.state = state

    def require(self, act: str, *states: State) -> None:
        """OutOfOrder unless the round is in one of these states. act: what was to be done."""
        if self.state not in states:
            raise OutOfOrder(
                f"Round {self.number} is {self.state}: {act} needs it {' or '.join(states)}."
            )

    @property
    def ended(self) -> bool:
        """Whether it was summed, or came to nothing."""
        return self.state in ENDED

    def begin(self, number: int) -> None:
        """A later round, its roster closed. OutOfOrder: the present one has not ended."""
        if (not self.ended and self.state is not State.GATHERING) or number <= self.number:
            raise OutOfOrder(f"Round {self.number} is {self.state}: round {number} cannot begin.")
        self.number, self.state = number, State.GATHERED
