//! The controller itself: for each MyService a Deployment, a Service, a record outside, and a status.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings::{
    Api, Finalized, Finalizer, Informer, InformerHandle, Lookup, ObjectKey, ObjectReference,
    OwnerReference, Patch, Resource, Scope, Store, WriteOptions, Written,
    controller::{
        Action, Controller, ControllerBuilder, Failure, Outcome, OwnerKind, Request, Source,
    },
};
use tidings_http::Client;

use crate::{
    objects::{Deployment, MyService, Service, Status},
    outside::Outside,
};

/// The resources that it follows.
#[derive(Clone)]
pub(crate) struct Resources {
    pub(crate) my_services: Resource,
    pub(crate) deployments: Resource,
    pub(crate) services: Resource,
}

/// Everything that a reconcile needs. It reads from stores, and writes through the API.
pub(crate) struct MyServices {
    api: Api,
    resources: Resources,
    my_services: Store<Arc<MyService>>,
    deployments: Store<Arc<Deployment>>,
    services: Store<Arc<Service>>,
    outside: Outside,
    finalizer: Finalizer,
}

impl Resources {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            my_services: Resource::parse("example.com/v1/myservices")?,
            deployments: Resource::parse("apps/v1/deployments")?,
            services: Resource::parse("v1/services")?,
        })
    }
}

// ANCHOR: wire
impl MyServices {
    /// Starts the informers, and says which of their changes concern which MyService.
    pub(crate) fn start(
        client: &Client,
        outside: Outside,
    ) -> Result<(Self, ControllerBuilder), Failure> {
        let resources = Resources::new()?;
        let my_services = follow::<Arc<MyService>>(client, &resources.my_services)?;
        let deployments = follow::<Arc<Deployment>>(client, &resources.deployments)?;
        let services = follow::<Arc<Service>>(client, &resources.services)?;

        let owner = OwnerKind::new("example.com", "MyService");
        let builder = Controller::builder("my-service")
            .source(Source::new(&my_services))
            .source(
                Source::new(&deployments).to_owner(owner.clone(), |entry, emit| {
                    let owners = entry.effective().map(|it| &it.metadata.owner_references);
                    owners.into_iter().flatten().for_each(emit);
                }),
            )
            .source(Source::new(&services).to_owner(owner, |entry, emit| {
                let owners = entry.effective().map(|it| &it.metadata.owner_references);
                owners.into_iter().flatten().for_each(emit);
            }))
            .workers(4);

        let options = WriteOptions {
            field_manager: "my-service-controller".to_owned(),
            ..WriteOptions::default()
        };
        let reconciler = Self {
            api: Api::new(client.clone()).write_options(options),
            resources,
            my_services: my_services.store().clone(),
            deployments: deployments.store().clone(),
            services: services.store().clone(),
            outside,
            finalizer: Finalizer::new("example.com/record"),
        };
        Ok((reconciler, builder))
    }
}
// ANCHOR_END: wire

fn follow<P: tidings::Payload>(
    client: &Client,
    resource: &Resource,
) -> Result<InformerHandle<P>, Failure> {
    let informer = Informer::builder(client.clone(), Scope::all(resource.clone())).build()?;
    let handle = informer.handle();
    tokio::spawn(informer.run());
    Ok(handle)
}

// ANCHOR: reconcile
impl tidings::controller::Reconciler for MyServices {
    async fn reconcile(&self, request: Request) -> Outcome {
        let key = request.key();
        let my_service = match self.my_services.lookup(key.as_str()) {
            // What it owned is collected by the server; what is outside went with its finalizer.
            Lookup::Absent => return Ok(Action::Done),
            Lookup::Present(entry) => entry,
            // Absence is never concluded from what cannot be read: nothing is torn down.
            Lookup::Undecodable { problem, .. } => return Err(Failure::give_up(problem)),
        };
        let Some(my_service) = my_service.effective() else {
            return Ok(Action::Done);
        };
        // From here on nothing is done for this key again before the stores have seen these writes.
        let api = request.remember(&self.api);

        // The server refuses nobody for an old leadership, and a file even less: ask before.
        if !request.is_leading() {
            return Err(Failure::retry("this replica does not lead any more"));
        }
        let term = request.fencing().unwrap_or_default();
        let objects = api.resource(&self.resources.my_services);
        let cleanup = || async { self.outside.remove(key, term) };
        let finalized = self
            .finalizer
            .run(&objects, key, &**my_service, cleanup)
            .await?;
        if matches!(finalized, Finalized::CleanedUp | Finalized::Gone) {
            return Ok(Action::Done);
        }

        let content = format!("{} {}", my_service.spec.image, my_service.spec.port);
        self.outside.ensure(key, &content, term)?;
        self.children(&api, key, my_service).await?;
        self.status(&api, key, my_service).await?;
        Ok(Action::Done)
    }
}
// ANCHOR_END: reconcile

impl MyServices {
    /// Applies what is missing or was changed by somebody else, and leaves alone what is right.
    async fn children(
        &self,
        api: &Api,
        key: &ObjectKey,
        my_service: &MyService,
    ) -> Result<(), Failure> {
        let (spec, uid) = (&my_service.spec, my_service.metadata.uid.as_str());
        let (namespace, name) = (key.namespace().unwrap_or_default(), key.name());
        let owner = ObjectReference::new("example.com/v1", "MyService", key, uid);
        let owner = OwnerReference::controller(&owner, key.namespace())?;

        let found = self.deployments.get(key.as_str());
        let found = found.as_ref().and_then(|entry| entry.effective());
        if !found.is_some_and(|it| spec.is_met_by_deployment(uid, it)) {
            let fields = spec.deployment(namespace, name, &owner);
            apply(api, &self.resources.deployments, key, &fields).await?;
        }
        let found = self.services.get(key.as_str());
        let found = found.as_ref().and_then(|entry| entry.effective());
        if !found.is_some_and(|it| spec.is_met_by_service(uid, name, it)) {
            let fields = spec.service(namespace, name, &owner);
            apply(api, &self.resources.services, key, &fields).await?;
        }
        Ok(())
    }

    async fn status(
        &self,
        api: &Api,
        key: &ObjectKey,
        my_service: &MyService,
    ) -> Result<(), Failure> {
        let status = Status {
            observed_generation: my_service.metadata.generation,
            is_ready: true,
        };
        if my_service.status == status {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "status": status }));
        let objects = api.resource(&self.resources.my_services).status();
        let _: Written<Value> = objects.patch(key, &patch).await?;
        Ok(())
    }
}

/// Takes the fields, whoever else wrote them: the MyService says what they are.
async fn apply(
    api: &Api,
    resource: &Resource,
    key: &ObjectKey,
    fields: &Value,
) -> Result<(), Failure> {
    let _: Written<Value> = api.resource(resource).apply(key, fields, true).await?;
    Ok(())
}
