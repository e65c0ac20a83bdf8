//! Role of an event loop's leader: which thread has it, and which may take it. Pure; every change
//! is made within the loop's lock. tests/model.rs tries their orders.
//!
//! A leader runs coroutines. If a handler blocks the leader's thread, the role is offered, and a
//! standby takes it as soon as something happens. If the leader's wait ends before that, it takes
//! the role back and continues.

/// State of the role. `T` identifies a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role<T> {
    Led(T),
    /// This thread's handler waits, or does not return: another thread may take the role.
    Offered(T),
}

impl<T: Copy + PartialEq> Role<T> {
    /// Offers the role to any taker. False if `me` does not have it.
    pub(super) fn offer(&mut self, me: T) -> bool {
        let mine = *self == Role::Led(me);
        if mine {
            *self = Role::Offered(me);
        }
        mine
    }

    /// Makes `me` the leader again if no thread has taken the role. False if one has.
    pub(super) fn take_back(&mut self, me: T) -> bool {
        if *self == Role::Offered(me) {
            *self = Role::Led(me);
        }
        *self == Role::Led(me)
    }

    /// Takes the role if it is offered. Returns the thread that offered it.
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
