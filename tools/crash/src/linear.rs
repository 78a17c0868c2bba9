//! Whether the answers of concurrent calls can be those of one order: a checker of its own, which knows nothing of the model.
//!
//! A history is what somebody outside saw of one entity: when each call began and ended, what it was told, what heads were read, what
//! was acknowledged as durable, and where the machine went off. The checker looks for an order of the calls in which each takes effect
//! at one moment between its beginning and its end, and each answer is what a register with compare-and-swap would give (Herlihy and
//! Wing's linearisability; the search keeps all orders that are still possible, as in Lowe's just-in-time linearisation).
//!
//! - A call without an answer (a ticket that was dropped, a store that latched, a crash) may have taken effect at any moment until the crash, or never.
//! - A crash takes back the newest of what was not acknowledged as durable, if pages can be lost in it.
//! - A call that was refused for another reason than the head says nothing.
//!
//! Each entity is looked at alone: an order for each is what linearisability asks (it is local); that batches are whole is another oracle's.

use std::collections::{BTreeMap, BTreeSet};

use recension::{Expect, HeadState, Outcome};

/// What a call does with one entity; several in a row in a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub expect: Expect,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A revision; `deletes`: a tombstone. Under the next number, unless it names a larger one.
    Write {
        deletes: bool,
        number: Option<u64>,
        if_changed: bool,
    },
    /// An annotation.
    Note,
    /// Nothing but the condition.
    Require,
    /// A head that a transaction read is still the same; `Any`: the entity was purged.
    Seen,
    Purge,
}

/// What a call was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The outcomes of its steps.
    Done(Vec<Outcome>),
    /// The head that was there instead of the expected one.
    Conflict(HeadState),
    /// Nothing: it may have taken effect.
    None,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Begin(u64),
    End(u64),
    Read(HeadState),
    /// What had ended before that call began is durable; and the call itself.
    Durable(u64),
    Crash {
        loses: bool,
    },
}

#[derive(Clone, Debug)]
struct Call {
    steps: Vec<Step>,
    answer: Answer,
    ended: u64,
}

/// Histories as they are made.
#[derive(Debug, Default)]
pub struct Histories {
    time: u64,
    next: u64,
    calls: BTreeMap<u64, Vec<(Vec<u8>, Call)>>,
    began: BTreeMap<u64, u64>,
    entities: BTreeMap<Vec<u8>, Vec<Event>>,
}

/// More orders than this are not followed.
const ORDERS_MAX: usize = 20_000;

/// What came of looking at histories.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub events: u64,
    /// Calls that were under way at the same time as another one of the same entity.
    pub concurrent: u64,
    /// Histories that had too many orders.
    pub given_up: u64,
}

impl Histories {
    /// A call begins. Answers its number.
    pub fn begin<'a>(&mut self, steps: impl Iterator<Item = (&'a [u8], Step)>) -> u64 {
        self.time += 1;
        self.next += 1;
        let mut calls: Vec<(Vec<u8>, Call)> = Vec::new();
        for (entity, step) in steps {
            match calls.iter_mut().find(|(name, _)| name == entity) {
                Some((_, call)) => call.steps.push(step),
                None => {
                    let call = Call { steps: vec![step], answer: Answer::None, ended: u64::MAX };
                    calls.push((entity.to_vec(), call));
                    self.entities.entry(entity.to_vec()).or_default().push(Event::Begin(self.next));
                }
            }
        }
        self.calls.insert(self.next, calls);
        self.began.insert(self.next, self.time);
        self.next
    }

    /// It ended with these outcomes, one for each step in the order that they were given in.
    pub fn done(&mut self, call: u64, steps: &[&[u8]], outcomes: &[Outcome], durable: bool) {
        self.time += 1;
        for (name, own) in self.calls.get_mut(&call).into_iter().flatten() {
            let of_own = steps.iter().zip(outcomes).filter(|(entity, _)| *entity == name);
            own.answer = Answer::Done(of_own.map(|(_, outcome)| *outcome).collect());
            own.ended = self.time;
            self.entities.entry(name.clone()).or_default().push(Event::End(call));
        }
        if durable {
            self.entities.values_mut().for_each(|events| events.push(Event::Durable(call)));
        }
    }

    /// It was refused because of the head of that entity.
    pub fn conflict(&mut self, call: u64, entity: &[u8], actual: HeadState) {
        self.time += 1;
        for (name, own) in self.calls.get_mut(&call).into_iter().flatten() {
            if name == entity {
                (own.answer, own.ended) = (Answer::Conflict(actual), self.time);
                self.entities.entry(name.clone()).or_default().push(Event::End(call));
            }
        }
        self.forget(call, Some(entity));
    }

    /// It was refused for another reason, and had no effect.
    pub fn refused(&mut self, call: u64) {
        self.forget(call, None);
    }

    fn forget(&mut self, call: u64, but: Option<&[u8]>) {
        let Some(calls) = self.calls.get_mut(&call) else { return };
        calls.retain(|(name, _)| Some(&name[..]) == but);
        for (name, events) in &mut self.entities {
            if Some(&name[..]) != but {
                events.retain(|event| *event != Event::Begin(call));
            }
        }
    }

    /// Somebody read a head.
    pub fn read(&mut self, entity: &[u8], head: HeadState) {
        self.time += 1;
        self.entities.entry(entity.to_vec()).or_default().push(Event::Read(head));
    }

    /// Everything that has ended is durable.
    pub fn synced(&mut self) {
        self.time += 1;
        self.next += 1;
        self.began.insert(self.next, self.time);
        self.entities.values_mut().for_each(|events| events.push(Event::Durable(self.next)));
    }

    /// The process ended; `loses`: what was not durable may be gone.
    pub fn crash(&mut self, loses: bool) {
        self.time += 1;
        self.entities.values_mut().for_each(|events| events.push(Event::Crash { loses }));
    }

    pub fn entities(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.entities.keys()
    }

    /// Looks for an order of each entity's calls. `Err`: the entity, and the event that fits into none.
    pub fn look(&self) -> Result<Looked, (Vec<u8>, String)> {
        let mut looked = Looked::default();
        for (name, events) in &self.entities {
            let own = |call: u64| {
                self.calls
                    .get(&call)
                    .and_then(|calls| calls.iter().find(|(it, _)| it == name))
                    .map(|(_, it)| it)
            };
            let began = |call: u64| self.began.get(&call).copied().unwrap_or(0);
            look_at(events, &own, &began, &mut looked).map_err(|what| (name.clone(), what))?;
        }
        Ok(looked)
    }
}

/// One order that is still possible: the states that a crash may go back to, oldest first, the present one last, each with the call that
/// made it (0: none); and the calls that have taken effect and have not ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    states: Vec<(u64, Head)>,
    effective: BTreeSet<u64>,
}

/// [`HeadState`], in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Head {
    Absent,
    Live(u64),
    Deleted(u64),
    Purged(u64),
}

impl From<HeadState> for Head {
    fn from(state: HeadState) -> Self {
        match state {
            HeadState::Live(n) => Self::Live(n),
            HeadState::Deleted(n) => Self::Deleted(n),
            HeadState::Purged(n) => Self::Purged(n),
            _ => Self::Absent,
        }
    }
}

impl Head {
    fn number(self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Live(n) | Self::Deleted(n) | Self::Purged(n) => n,
        }
    }

    fn meets(self, expect: Expect) -> bool {
        match expect {
            Expect::Absent => self == Self::Absent,
            Expect::Head(number) => matches!(self, Self::Live(n) | Self::Deleted(n) if n == number),
            _ => true,
        }
    }

    fn admits(self, step: &Step) -> bool {
        match (&step.act, step.expect) {
            (Act::Seen, Expect::Any) => matches!(self, Self::Purged(_)),
            (_, expect) => self.meets(expect),
        }
    }

    /// The state behind a step with that outcome (`None`: whatever it is); `None` if it cannot be.
    fn behind(self, step: &Step, outcome: Option<Outcome>) -> Option<Self> {
        if let Some(Outcome::Replayed { revision, .. }) = outcome {
            return (revision <= self.number()).then_some(self);
        }
        if !self.admits(step) {
            return None;
        }
        match (&step.act, outcome) {
            (Act::Require | Act::Seen, None | Some(Outcome::Held)) => Some(self),
            (Act::Note, None | Some(Outcome::Annotated { .. })) => {
                matches!(self, Self::Live(_) | Self::Deleted(_)).then_some(self)
            }
            (Act::Purge, None | Some(Outcome::Annotated { .. })) => match self {
                Self::Live(n) | Self::Deleted(n) => Some(Self::Purged(n)),
                _ => None,
            },
            (Act::Write { if_changed: true, .. }, Some(Outcome::Unchanged { revision })) => {
                (self == Self::Live(revision)).then_some(self)
            }
            (Act::Write { deletes, number, .. }, None | Some(Outcome::Written { .. })) => {
                let next = number.unwrap_or(self.number() + 1);
                let told = match outcome {
                    Some(Outcome::Written { revision, .. }) => revision == next,
                    _ => true,
                };
                let state = if *deletes { Self::Deleted(next) } else { Self::Live(next) };
                (told && next > self.number()).then_some(state)
            }
            _ => None,
        }
    }

    /// The states that a whole call may leave behind at this moment; none if its answer cannot be that of this moment.
    fn behind_call(self, call: &Call) -> Vec<Self> {
        let mut states = vec![self];
        for (i, step) in call.steps.iter().enumerate() {
            let outcome = match &call.answer {
                Answer::Done(outcomes) => match outcomes.get(i) {
                    Some(outcome) => Some(*outcome),
                    None => return Vec::new(),
                },
                Answer::Conflict(actual) => {
                    let refused = |state: &Self| !state.admits(step) && *state == (*actual).into();
                    if states.iter().any(refused) {
                        return vec![self];
                    }
                    None
                }
                Answer::None => None,
            };
            let mut next: Vec<Self> = states.iter().filter_map(|state| state.behind(step, outcome)).collect();
            if let (Act::Write { if_changed: true, .. }, None) = (&step.act, outcome) {
                // Nobody was told whether it changed anything.
                next.extend(states.iter().filter(|state| matches!(state, Self::Live(_))));
            }
            states = next;
        }
        if matches!(call.answer, Answer::Conflict(_)) { Vec::new() } else { states }
    }
}

fn look_at<'a>(
    events: &[Event],
    own: &dyn Fn(u64) -> Option<&'a Call>,
    began: &dyn Fn(u64) -> u64,
    looked: &mut Looked,
) -> Result<(), String> {
    let mut orders = BTreeSet::from([Order { states: vec![(0, Head::Absent)], effective: BTreeSet::new() }]);
    // Begun and not ended.
    let mut open: BTreeSet<u64> = BTreeSet::new();
    for (at, event) in events.iter().enumerate() {
        looked.events += 1;
        let before = orders.clone();
        match event {
            Event::Begin(call) => {
                looked.concurrent += u64::from(!open.is_empty());
                open.insert(*call);
            }
            Event::End(call) => {
                close(&mut orders, &open, own);
                orders.retain(|order| order.effective.contains(call));
                open.remove(call);
                orders = std::mem::take(&mut orders)
                    .into_iter()
                    .map(|mut order| {
                        order.effective.remove(call);
                        order
                    })
                    .collect();
            }
            Event::Read(head) => {
                close(&mut orders, &open, own);
                orders.retain(|order| order.states.last().is_some_and(|(_, state)| *state == (*head).into()));
            }
            Event::Durable(call) => {
                let before = began(*call);
                let is_durable = |by: u64| by == *call || own(by).is_some_and(|call| call.ended < before);
                orders = std::mem::take(&mut orders)
                    .into_iter()
                    .map(|mut order| {
                        if let Some(from) = order.states.iter().rposition(|(by, _)| is_durable(*by)) {
                            order.states.drain(..from);
                        }
                        order
                    })
                    .collect();
            }
            Event::Crash { loses } => {
                close(&mut orders, &open, own);
                open.clear();
                let mut after = BTreeSet::new();
                for order in &orders {
                    let shortest = if *loses { 1 } else { order.states.len() };
                    for n in shortest..=order.states.len() {
                        // What survived a crash is on the disk.
                        let states = order.states.get(n - 1).map(|state| vec![*state]).unwrap_or_default();
                        after.insert(Order { states, effective: BTreeSet::new() });
                    }
                }
                orders = after;
            }
        }
        if orders.len() > ORDERS_MAX {
            looked.given_up += 1;
            return Ok(());
        }
        if orders.is_empty() {
            let told = match event {
                Event::End(call) => format!("{:?}", own(*call)),
                other => format!("{other:?}"),
            };
            let heads: BTreeSet<_> = before.iter().filter_map(|order| order.states.last()).collect();
            return Err(format!("event {at}, {told}, fits into no order; the head was one of {heads:?}"));
        }
    }
    Ok(())
}

/// All orders in which some of the open calls take effect now, one after the other.
fn close<'a>(orders: &mut BTreeSet<Order>, open: &BTreeSet<u64>, own: &dyn Fn(u64) -> Option<&'a Call>) {
    let mut todo: Vec<Order> = orders.iter().cloned().collect();
    while let Some(order) = todo.pop() {
        if orders.len() > ORDERS_MAX {
            return;
        }
        for call in open.difference(&order.effective.clone()) {
            let (Some(it), Some((_, state))) = (own(*call), order.states.last()) else { continue };
            for behind in state.behind_call(it) {
                let mut next = order.clone();
                next.effective.insert(*call);
                if behind != *state {
                    next.states.push((*call, behind));
                }
                if orders.insert(next.clone()) {
                    todo.push(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
