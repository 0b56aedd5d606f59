//! `dynamic`: inputs that come and go over HTTP while the stream runs.

use crate::dynamic::{GRACE, LAST, Members, Register, refusal};
use async_trait::async_trait;
use futures_util::FutureExt;
use serde::Deserialize;
use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use weir_core::{
    build_error::BuildError,
    context::{BuildContext, Environment},
    error::Error,
    field::Field,
    http::{Route, Served},
    input::{Input, InputComponent, Next},
    kind::Kind,
    node::Node,
    registry::InputSpec,
    spec::{Body, Example, Status},
    view::View,
    workshop::Apart,
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "dynamic",
    summary: "Reads from inputs that are added, changed and removed over HTTP while the stream runs.",
    description: include_str!("dynamic.md"),
    status: Status::Stable,
    body: Body::Fields(&[
        Field::input("inputs", "The inputs to begin with, by id.").map().default("{}"),
        Field::string("prefix", "A path before those of the interface.").default("''"),
    ]),
    examples: &[Example {
        title: "One to begin with",
        config: "inputs:\n  first: { generate: { mapping: 'root = \"a\"' } }",
    }],
    build: |node, context| Ok(InputComponent::Changing(Box::new(Dynamic::new(node.read()?, context)?))),
};

#[derive(Deserialize)]
struct Config {
    inputs: BTreeMap<String, Node>,
    prefix: String,
}

struct Dynamic {
    shared: Arc<Shared>,
    /// Members that are to be started, and routes to be served, with the first call.
    waiting: Vec<(String, Node, Built)>,
    routes: Vec<Route>,
    served: Vec<Box<dyn Served>>,
    said: mpsc::Receiver<Said>,
}

/// A member that is not started yet.
type Built = Apart<Box<dyn Input>>;

/// What a member's task gives.
enum Said {
    Next(Next),
    /// It panicked; so does the parent.
    Panic(Box<dyn Any + Send>),
}

struct Shared {
    register: Arc<Register>,
    environment: Environment,
    members: Mutex<BTreeMap<String, Member>>,
    tasks: TaskTracker,
    to: mpsc::Sender<Said>,
}

/// A member that was started.
#[derive(Clone)]
struct Member {
    environment: Environment,
    ended: CancellationToken,
    /// What is seen of it while this lives.
    _view: View,
}

impl Dynamic {
    fn new(config: Config, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let workshop = context.workshop();
        let register = Register::new(Kind::Input, workshop);
        let mut waiting = Vec::with_capacity(config.inputs.len());
        for (id, node) in config.inputs {
            let built = register.workshop().input(&register.place(&id), &node)?;
            waiting.push((id, node, built));
        }
        let (to, said) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            register,
            environment: context.environment().clone(),
            members: Mutex::default(),
            tasks: TaskTracker::new(),
            to,
        });
        let members = Arc::clone(&shared) as Arc<dyn Members>;
        let routes = shared.register.routes(&config.prefix, &members, context)?;
        Ok(Self { shared, waiting, routes, served: Vec::new(), said })
    }

    /// Starts what waits for it.
    fn start(&mut self) {
        for (id, node, built) in self.waiting.drain(..) {
            self.shared.start(&id, &node, built);
        }
        if !self.routes.is_empty() {
            let routes = std::mem::take(&mut self.routes);
            self.served = self.shared.register.serve(routes, &self.shared.environment);
        }
    }
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, id: &str, node: &Node, built: Built) {
        let Apart { component, environment, view } = built;
        // A member that is not connected is no fault of the stream.
        self.register.workshop().show(&View { inputs: Arc::default(), ..view.clone() });
        self.register.started(id, node);
        let ended = CancellationToken::new();
        self.members().insert(id.to_owned(), Member { environment, ended: ended.clone(), _view: view });
        let (register, to, id) = (Arc::clone(&self.register), self.to.clone(), id.to_owned());
        let task = async move {
            if let Err(panic) = AssertUnwindSafe(read(component, &to)).catch_unwind().await {
                drop(to.send(Said::Panic(panic)).await);
            }
            register.ended(&id);
            ended.cancel();
        };
        self.tasks.spawn_on(task, self.register.runtime());
    }
}

/// Passes on what one input gives, until its end.
async fn read(mut input: Box<dyn Input>, to: &mpsc::Sender<Said>) {
    loop {
        match input.next().await {
            Next::End => break,
            next => {
                if to.send(Said::Next(next)).await.is_err() {
                    break;
                }
            }
        }
    }
    input.close().await;
}

#[async_trait]
impl Members for Shared {
    async fn put(self: Arc<Self>, id: &str, node: Node) -> Result<(), String> {
        let (register, place, given) = (Arc::clone(&self.register), self.register.place(id), node.clone());
        let work = tokio::task::spawn_blocking(move || register.workshop().input(&place, &given));
        let built = work.await.map_err(|error| error.to_string())?.map_err(|error| refusal(&error))?;
        self.remove(id).await.map_err(|error| error.to_string())?;
        if self.environment.soft_stop.is_cancelled() {
            return Err(Error::Closed.to_string());
        }
        self.start(id, &node, built);
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), Error> {
        let Some(Member { environment, ended, .. }) = self.members().get(id).cloned() else {
            return Ok(());
        };
        environment.soft_stop.cancel();
        if timeout(GRACE, ended.cancelled()).await.is_err() {
            environment.hard_stop.cancel();
            timeout(LAST, ended.cancelled()).await.map_err(|_| Error::Timeout)?;
        }
        self.members().remove(id);
        Ok(())
    }
}

#[async_trait]
impl Input for Dynamic {
    async fn next(&mut self) -> Next {
        self.start();
        let shared = Arc::clone(&self.shared);
        let all_ended = async {
            // Without members it goes on: one may come.
            shared.environment.soft_stop.cancelled().await;
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        let said = tokio::select! {
            biased;
            said = self.said.recv() => said,
            () = shared.environment.hard_stop.cancelled() => None,
            () = all_ended => self.said.try_recv().ok(),
        };
        match said {
            Some(Said::Next(next)) => next,
            Some(Said::Panic(panic)) => resume_unwind(panic),
            None => Next::End,
        }
    }

    async fn close(&mut self) {
        self.served.clear();
        let members: Vec<Member> = self.shared.members().values().cloned().collect();
        members.iter().for_each(|member| member.environment.hard_stop.cancel());
        // Those that wait for room fail back what they hold.
        self.said.close();
        while self.said.try_recv().is_ok() {}
        self.shared.tasks.close();
        drop(timeout(LAST, self.shared.tasks.wait()).await);
    }
}

impl Drop for Dynamic {
    fn drop(&mut self) {
        let members = self.shared.members();
        members.values().for_each(|member| member.environment.hard_stop.cancel());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Building;
    use std::collections::VecDeque;
    use weir_bloblang::Message;
    use weir_core::{
        ack::{Failure, Origin},
        frame::Frame,
    };

    struct Nowhere;

    impl Origin for Nowhere {
        fn settle(&self, _: u32, _: Result<(), Failure>) {}
    }

    /// Gives its texts, and then ends, or waits for its stop.
    struct Scripted {
        texts: VecDeque<&'static str>,
        stop: Option<CancellationToken>,
    }

    #[async_trait]
    impl Input for Scripted {
        async fn next(&mut self) -> Next {
            match (self.texts.pop_front(), &self.stop) {
                (Some("panic"), _) => panic!("broken input"),
                (Some(text), _) => Next::Frame(Frame::single(vec![Message::new(text)], 0, Arc::new(Nowhere))),
                (None, Some(stop)) => {
                    stop.cancelled().await;
                    Next::End
                }
                (None, None) => Next::End,
            }
        }
    }

    fn dynamic() -> Dynamic {
        let config = Config { inputs: BTreeMap::new(), prefix: String::new() };
        Dynamic::new(config, &mut Building::new()).unwrap()
    }

    fn add(dynamic: &Dynamic, id: &str, texts: &[&'static str], waits: bool) {
        let environment = Environment {
            soft_stop: dynamic.shared.environment.soft_stop.child_token(),
            hard_stop: dynamic.shared.environment.hard_stop.child_token(),
            ..dynamic.shared.environment.clone()
        };
        let stop = waits.then(|| environment.soft_stop.clone());
        let component = Box::new(Scripted { texts: texts.iter().copied().collect(), stop });
        let built = Apart { component: component as Box<dyn Input>, environment, view: View::default() };
        dynamic.shared.start(id, &Node::null(), built);
    }

    async fn text(dynamic: &mut Dynamic) -> Option<String> {
        match dynamic.next().await {
            Next::Frame(frame) => Some(String::from_utf8_lossy(frame.messages()[0].content()).into_owned()),
            Next::Flush => Some("flush".into()),
            Next::End => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn goes_on_without_members_and_ends_when_told() {
        let mut dynamic = dynamic();
        dynamic.start();
        add(&dynamic, "a", &["1"], false);
        assert_eq!(text(&mut dynamic).await.as_deref(), Some("1"));
        assert!(timeout(LAST, text(&mut dynamic)).await.is_err());
        add(&dynamic, "b", &["2"], true);
        assert_eq!(text(&mut dynamic).await.as_deref(), Some("2"));
        dynamic.shared.remove("b").await.unwrap();
        assert!(!dynamic.shared.members().contains_key("b"));
        add(&dynamic, "c", &["3"], true);
        dynamic.shared.environment.soft_stop.cancel();
        assert_eq!(text(&mut dynamic).await.as_deref(), Some("3"));
        assert_eq!(text(&mut dynamic).await, None);
    }

    #[tokio::test]
    #[should_panic(expected = "broken input")]
    async fn a_panic_of_a_member_is_its_own() {
        let mut dynamic = dynamic();
        add(&dynamic, "a", &["panic"], false);
        text(&mut dynamic).await;
    }
}
