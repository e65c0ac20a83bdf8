//! Types of handlers: what an App owns, and what `route` finds.

use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::reply::Reply;
use crate::request::Request;

pub(crate) type EventHandler = Box<dyn Fn(Event<'_>) -> Result<Reply> + Send + Sync>;
pub(crate) type WebHandler = Box<dyn Fn(Request<'_>) -> Result<Reply> + Send + Sync>;
pub(crate) type HookHandler = Box<dyn Fn(Context<'_>) -> Result<()> + Send + Sync>;
pub(crate) type InitWork = Box<dyn Fn() -> Result<()> + Send + Sync>;
