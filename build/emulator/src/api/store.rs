//! Persistent state: the world, the log and the requests, in a database of one file (redb). One
//! thread writes several orders in one transaction. A change is on disk before its request is
//! answered; log lines follow a moment later.

use crate::api::log::{Call, Line, Logs};
use crate::api::world::{Function, Key, Namespace, Version, World};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

const WORLD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("world");
const LINES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("lines");
const CALLS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("calls");
/// Largest number of orders in one transaction.
const MAX_ORDERS: usize = 256;

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has opened it.
    #[error("`{0}` is open in another process; end that one, or name another file (--api-state)")]
    InUse(PathBuf),
    /// The folder, the file or its contents cannot be used.
    #[error("`{path}` cannot be used: {why}; name another file (--api-state), or remove it")]
    File {
        /// Its path.
        path: PathBuf,
        /// The database's message.
        why: String,
    },
}

/// The open database.
pub struct Store {
    orders: Option<Sender<Order>>,
    writer: Option<JoinHandle<()>>,
}

/// A change to write.
#[derive(Default)]
struct Order {
    world: Vec<(String, Option<Vec<u8>>)>,
    lines: Vec<(u64, Vec<u8>)>,
    call: Option<(u64, Vec<u8>)>,
    gone: Vec<u64>,
    gone_call: Option<u64>,
    done: Option<SyncSender<Result<(), String>>>,
}

/// Handle that waits until a change is on disk.
pub struct Written(Option<Receiver<Result<(), String>>>);

impl Written {
    /// Nothing to wait for.
    pub fn none() -> Written {
        Written(None)
    }

    /// Waits until the change is on disk.
    ///
    /// # Errors
    /// The error of the write.
    pub fn wait(self) -> Result<(), String> {
        match self.0 {
            Some(done) => done.recv().unwrap_or_else(|_| Err("the database is closed".into())),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Opens the file, or makes it; returns its contents too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<(Store, World, Logs), StoreError> {
        let file = |why: String| StoreError::File { path: path.to_owned(), why };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| file(error.to_string()))?;
        }
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            other => file(other.to_string()),
        })?;
        let (world, logs) = read(&database).map_err(file)?;
        let (orders, from) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("store".into())
            .spawn(move || write(&database, &from))
            .map_err(|error| file(error.to_string()))?;
        Ok((Store { orders: Some(orders), writer: Some(writer) }, world, logs))
    }

    /// Writes the present values of these keys; a key without a value is deleted.
    pub fn save(&self, world: &World, keys: &[Key]) -> Written {
        let world = keys.iter().map(|key| {
            let (name, value) = match key {
                Key::Namespace(name) => {
                    (format!("namespace/{name}"), world.namespaces.get(name).map(bytes))
                }
                Key::Function(namespace, name) => (
                    format!("function/{namespace}/{name}"),
                    world.functions.get(&(namespace.clone(), name.clone())).map(bytes),
                ),
                Key::Version(namespace, name, number) => (
                    format!("version/{namespace}/{name}/{number}"),
                    world
                        .functions
                        .get(&(namespace.clone(), name.clone()))
                        .and_then(|function| function.versions.get(number))
                        .map(bytes),
                ),
            };
            (name, value)
        });
        let (done, wait) = mpsc::sync_channel(1);
        self.order(Order { world: world.collect(), done: Some(done), ..Order::default() });
        Written(Some(wait))
    }

    /// Writes lines, and their request, in the background.
    pub fn log(
        &self,
        lines: &[Line],
        call: Option<(u64, &Call)>,
        gone: Vec<u64>,
        gone_call: Option<u64>,
    ) {
        let lines = lines.iter().map(|line| (line.number, bytes(line))).collect();
        let call = call.map(|(number, call)| (number, bytes(call)));
        self.order(Order { lines, call, gone, gone_call, ..Order::default() });
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order); // if the writer has ended, `Written` reports it
        }
    }
}

impl Drop for Store {
    /// Writes the pending orders.
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("its maps have text as keys")
}

fn write(database: &Database, from: &Receiver<Order>) {
    while let Ok(first) = from.recv() {
        let more = from.try_iter().take(MAX_ORDERS - 1);
        let orders: Vec<Order> = std::iter::once(first).chain(more).collect();
        let written = transaction(database, &orders).map_err(|error| error.to_string());
        for done in orders.into_iter().filter_map(|order| order.done) {
            let _ = done.send(written.clone()); // the receiver may be gone
        }
    }
}

fn transaction(database: &Database, orders: &[Order]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut world = transaction.open_table(WORLD)?;
        let mut lines = transaction.open_table(LINES)?;
        let mut calls = transaction.open_table(CALLS)?;
        for order in orders {
            for (key, value) in &order.world {
                match value {
                    Some(value) => drop(world.insert(key.as_str(), value.as_slice())?),
                    None => drop(world.remove(key.as_str())?),
                }
            }
            for (number, line) in &order.lines {
                lines.insert(number, line.as_slice())?;
            }
            for number in &order.gone {
                lines.remove(number)?;
            }
            if let Some((number, call)) = &order.call {
                calls.insert(number, call.as_slice())?;
            }
            if let Some(number) = order.gone_call {
                calls.remove(number)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database) -> Result<(World, Logs), String> {
    transaction(database, &[]).map_err(|error| error.to_string())?; // makes the tables
    let all = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let (mut world, mut lines, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for entry in transaction.open_table(WORLD)?.iter()? {
            let (key, value) = entry?;
            world.push((key.value().to_owned(), value.value().to_vec()));
        }
        for entry in transaction.open_table(LINES)?.iter()? {
            lines.push(entry?.1.value().to_vec());
        }
        for entry in transaction.open_table(CALLS)?.iter()? {
            let (key, value) = entry?;
            calls.push((key.value(), value.value().to_vec()));
        }
        Ok((world, lines, calls))
    };
    let (entries, lines, calls) = all().map_err(|error| error.to_string())?;
    let mut world = World::default();
    // `function/` comes before `version/`, so a version finds its function.
    for (key, value) in entries {
        let parts: Vec<&str> = key.split('/').collect();
        let function = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        match parts[..] {
            ["namespace", name] => {
                world.namespaces.insert(name.to_owned(), value_of::<Namespace>(&value)?);
            }
            ["function", namespace, name] => {
                world.functions.insert(function(namespace, name), value_of::<Function>(&value)?);
            }
            ["version", namespace, name, number] => {
                if let Some(function) = world.functions.get_mut(&function(namespace, name)) {
                    function.versions.insert(number.to_owned(), value_of::<Version>(&value)?);
                }
            }
            _ => return Err(format!("it has an unknown entry `{key}`")),
        }
    }
    let lines = lines.iter().map(|line| value_of::<Line>(line)).collect::<Result<_, _>>()?;
    let calls = calls
        .iter()
        .map(|(number, call)| Ok((*number, value_of::<Call>(call)?)))
        .collect::<Result<_, String>>()?;
    Ok((world, Logs::of(lines, calls)))
}

fn value_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("an entry is damaged: {error}"))
}
