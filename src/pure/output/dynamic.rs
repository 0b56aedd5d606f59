//! `dynamic`: outputs that come and go over HTTP while the stream runs.

use super::{broker::fan_out::FanOut, resend::Resend};
use crate::dynamic::{GRACE, LAST, Members, Register, refusal};
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::{Notify, RwLock},
    time::timeout,
};
use weir_core::{
    build_error::BuildError,
    context::{BuildContext, Environment},
    error::Error,
    field::Field,
    frame::Frame,
    http::{Route, Served},
    kind::Kind,
    node::Node,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
    view::View,
    workshop::Apart,
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "dynamic",
    summary: "Writes to outputs that are added, changed and removed over HTTP while the stream runs.",
    description: include_str!("dynamic.md"),
    status: Status::Stable,
    body: Body::Fields(&[
        Field::output("outputs", "The outputs to begin with, by id.").map().default("{}"),
        Field::string("prefix", "A path before those of the interface.").default("''"),
    ]),
    examples: &[Example { title: "One to begin with", config: "outputs:\n  first: { drop: {} }" }],
    build: |node, context| Ok(OutputComponent::Changing(Arc::new(Dynamic::new(node.read()?, context)?))),
};

#[derive(Deserialize)]
struct Config {
    outputs: BTreeMap<String, Node>,
    prefix: String,
}

struct Dynamic {
    shared: Arc<Shared>,
    /// Served from the first call on.
    routes: Mutex<Vec<Route>>,
    served: Mutex<Vec<Box<dyn Served>>>,
}

struct Shared {
    register: Arc<Register>,
    environment: Environment,
    /// Read while a frame is sent, so that a member that is removed gets none any more.
    outputs: RwLock<Outputs>,
    added: Notify,
}

struct Outputs {
    members: BTreeMap<String, Member>,
    all: Arc<FanOut>,
}

/// One output.
struct Member {
    resend: Arc<Resend>,
    environment: Environment,
    /// What is seen of it while this lives.
    _view: View,
}

impl Outputs {
    fn insert(&mut self, id: String, Apart { component, environment, view }: Apart<Arc<dyn Output>>) {
        let resend = Resend::new(component, environment.hard_stop.clone());
        self.members.insert(id, Member { resend, environment, _view: view });
        self.changed();
    }

    fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id);
        self.changed();
        member
    }

    fn changed(&mut self) {
        let all = self.members.values().map(|member| Arc::clone(&member.resend)).collect();
        self.all = Arc::new(self.all.with(all));
    }
}

impl Dynamic {
    fn new(config: Config, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let workshop = context.workshop();
        let register = Register::new(Kind::Output, workshop);
        let environment = context.environment().clone();
        let all = Arc::new(FanOut::new(Vec::new(), false, &environment.hard_stop));
        let mut outputs = Outputs { members: BTreeMap::new(), all };
        for (id, node) in config.outputs {
            let built = register.workshop().output(&register.place(&id), &node)?;
            register.workshop().show(&built.view);
            register.started(&id, &node);
            outputs.insert(id, built);
        }
        let (outputs, added) = (RwLock::new(outputs), Notify::new());
        let shared = Arc::new(Shared { register, environment, outputs, added });
        let members = Arc::clone(&shared) as Arc<dyn Members>;
        let routes = shared.register.routes(&config.prefix, &members, context)?;
        Ok(Self { shared, routes: Mutex::new(routes), served: Mutex::default() })
    }

    fn start(&self) {
        let routes = std::mem::take(&mut *self.routes.lock().unwrap_or_else(PoisonError::into_inner));
        if !routes.is_empty() {
            let served = self.shared.register.serve(routes, &self.shared.environment);
            *self.served.lock().unwrap_or_else(PoisonError::into_inner) = served;
        }
    }

    async fn all(&self) -> Arc<FanOut> {
        Arc::clone(&self.shared.outputs.read().await.all)
    }
}

impl Shared {
    /// Takes a member out of the set. A frame that is being sent holds the set; one that this member holds up is
    /// given up after a while.
    async fn take(&self, id: &str) -> Result<Option<Member>, Error> {
        let hard_stop = match self.outputs.read().await.members.get(id) {
            None => return Ok(None),
            Some(member) => member.environment.hard_stop.clone(),
        };
        if let Ok(mut outputs) = timeout(GRACE, self.outputs.write()).await {
            return Ok(outputs.remove(id));
        }
        hard_stop.cancel();
        let outputs = timeout(LAST, self.outputs.write()).await;
        outputs.map(|mut outputs| outputs.remove(id)).map_err(|_| Error::Timeout)
    }
}

#[async_trait]
impl Members for Shared {
    async fn put(self: Arc<Self>, id: &str, node: Node) -> Result<(), String> {
        let (register, place, given) = (Arc::clone(&self.register), self.register.place(id), node.clone());
        let work = tokio::task::spawn_blocking(move || register.workshop().output(&place, &given));
        let built = work.await.map_err(|error| error.to_string())?.map_err(|error| refusal(&error))?;
        self.remove(id).await.map_err(|error| error.to_string())?;
        self.register.workshop().show(&built.view);
        let output = Arc::clone(&built.component);
        {
            let outputs = timeout(GRACE, self.outputs.write()).await;
            outputs.map_err(|_| Error::Timeout.to_string())?.insert(id.to_owned(), built);
        }
        self.register.started(id, &node);
        self.added.notify_waiters();
        tokio::spawn(async move { output.connect().await });
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), Error> {
        let Some(Member { resend, environment, _view }) = self.take(id).await? else { return Ok(()) };
        self.register.ended(id);
        if timeout(GRACE, resend.output.close()).await.is_err() {
            environment.hard_stop.cancel();
            timeout(LAST, resend.output.close()).await.map_err(|_| Error::Timeout)?;
        }
        // What it failed on and was to get again goes back to where it came from.
        environment.hard_stop.cancel();
        Ok(())
    }
}

#[async_trait]
impl Output for Dynamic {
    async fn connect(&self) {
        self.start();
        self.all().await.connect().await;
    }

    async fn send(&self, frame: Frame) {
        self.start();
        let Shared { environment, outputs, added, .. } = &*self.shared;
        loop {
            let one_more = added.notified();
            tokio::pin!(one_more);
            one_more.as_mut().enable();
            {
                let outputs = outputs.read().await;
                if !outputs.all.is_empty() {
                    return outputs.all.send(frame).await;
                }
            }
            tokio::select! {
                () = environment.hard_stop.cancelled() => return,
                () = one_more => {}
            }
        }
    }

    async fn flush(&self) {
        self.all().await.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.all().await.sync().await
    }

    async fn close(&self) {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.all().await.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        output::kept::testing::{Book, Child, frame},
        testing::Building,
    };

    fn dynamic() -> Dynamic {
        let config = Config { outputs: BTreeMap::new(), prefix: String::new() };
        Dynamic::new(config, &mut Building::new()).unwrap()
    }

    async fn add(dynamic: &Dynamic, id: &str, child: &Arc<Child>) {
        let component = Arc::clone(child) as Arc<dyn Output>;
        let hard_stop = dynamic.shared.environment.hard_stop.child_token();
        let environment = Environment { hard_stop, ..dynamic.shared.environment.clone() };
        let built = Apart { component, environment, view: View::default() };
        dynamic.shared.outputs.write().await.insert(id.into(), built);
        dynamic.shared.added.notify_waiters();
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_waits_for_an_output_and_goes_to_all() {
        let (book, dynamic): (Arc<Book>, _) = (Arc::default(), dynamic());
        let (one, two) = (Child::new(&[]), Child::new(&[]));
        let sent = dynamic.send(frame(&book, &[&["a"]]));
        tokio::pin!(sent);
        assert!(timeout(LAST, sent.as_mut()).await.is_err());
        add(&dynamic, "1", &one).await;
        sent.await;
        add(&dynamic, "2", &two).await;
        dynamic.send(frame(&book, &[&["b"]])).await;
        assert_eq!((one.received(), two.received()), (vec!["a".into(), "b".into()], vec!["b".into()]));
        assert_eq!(book.sorted(), ["0 ok", "0 ok"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_removed_output_owes_fails_back() {
        let (book, dynamic): (Arc<Book>, _) = (Arc::default(), dynamic());
        let (good, bad) = (Child::new(&[]), Child::new(&["a"; 100]));
        add(&dynamic, "good", &good).await;
        add(&dynamic, "bad", &bad).await;
        dynamic.send(frame(&book, &[&["a"]])).await;
        assert_eq!(book.sorted(), Vec::<String>::new());
        dynamic.shared.remove("bad").await.unwrap();
        tokio::time::sleep(GRACE).await;
        assert_eq!(book.sorted(), ["0 type was closed [0]"]);
        dynamic.send(frame(&book, &[&["b"]])).await;
        assert_eq!(good.received(), ["a", "b"]);
    }
}
