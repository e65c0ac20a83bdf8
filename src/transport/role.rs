//! The role of an event loop's leader: who has it, and who may take it. Pure; every change is made
//! within the loop's lock. tests/model.rs tries their orders.
//!
//! A leader runs coroutines. Where a handler blocks the leader's thread, the role is offered: a
//! standby takes it as soon as something happens. A leader that is done waiting before takes it
//! back, and is the leader as if nothing had been.

/// Who has the role. `T` names a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<T> {
    Led(T),
    /// That thread's handler waits, or does not come back: another one may take it.
    Offered(T),
}

impl<T: Copy + PartialEq> Role<T> {
    /// Gives the role to who takes it. False if `me` has not got it.
    pub(super) fn offer(&mut self, me: T) -> bool {
        let mine = *self == Role::Led(me);
        if mine {
            *self = Role::Offered(me);
        }
        mine
    }

    /// Has `me` lead again if nobody has taken the role. False if somebody has.
    pub(super) fn take_back(&mut self, me: T) -> bool {
        if *self == Role::Offered(me) {
            *self = Role::Led(me);
        }
        *self == Role::Led(me)
    }

    /// Takes the role if it is offered: who has offered it.
    pub(super) fn take(&mut self, me: T) -> Option<T> {
        match *self {
            Role::Offered(from) => {
                *self = Role::Led(me);
                Some(from)
            }
            Role::Led(_) => None,
        }
    }

    pub(super) fn is_offered(&self) -> bool {
        matches!(self, Role::Offered(_))
    }
}
