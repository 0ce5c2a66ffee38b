//! The effect of an event on the whole system.

use crate::actions::{Action, LinkId};
use crate::frames::{Ending, Output, Reply, Text};
use crate::promise::Property;
use crate::properties;
use crate::setup::{Role, Setup};
use crate::state::State;
use crate::{scheduler, tokenizer_manager};

impl State {
    /// The state after an event.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub fn after(&self, action: Action, setup: &Setup) -> Result<Self, Property> {
        let mut next = self.clone();
        next.act(action, setup)?;
        next.settle(setup);
        properties::always(&next, setup)?;
        if matches!(action, Action::Die { role: Role::Detokenizer, .. }) && next.scheduler != self.scheduler {
            return Err(Property::DetokenizerDiesAlone);
        }
        Ok(next)
    }

    fn act(&mut self, action: Action, setup: &Setup) -> Result<(), Property> {
        match action {
            Action::Come(request) => {
                self.clients[usize::from(request)].came = true;
                let rid = setup.rid(request);
                let effects = self.tokenizer_manager.submit(rid, request, setup.faults);
                self.manager_did(effects, setup)
            }
            Action::Abort(request) => {
                self.budget.aborts -= 1;
                self.clients[usize::from(request)].aborts = true;
                let effects = self.tokenizer_manager.abort(setup.rid(request));
                self.manager_did(effects, setup)
            }
            Action::Control => {
                let effects = self.tokenizer_manager.control(setup.faults);
                self.manager_did(effects, setup)
            }
            Action::Deliver(link) => self.deliver(link, setup),
            Action::Step(rid) => self.step(rid, setup),
            Action::Poison { shared } => {
                self.poison(shared, setup);
                Ok(())
            }
            Action::Notice(link) => {
                self.reconnect(link, 0);
                Ok(())
            }
            Action::Cut { link, kept } => {
                self.budget.cuts -= 1;
                self.reconnect(link, usize::from(kept));
                Ok(())
            }
            Action::Repeat(link) => {
                self.budget.repeats -= 1;
                match link {
                    LinkId::ToScheduler => self.to_scheduler.repeat(),
                    LinkId::ToDetokenizer => self.to_detokenizer.repeat(),
                    LinkId::Texts => self.texts.repeat(),
                    LinkId::Replies => self.replies.repeat(),
                }
                Ok(())
            }
            Action::Die { role, kept, overtaken } => self.die(role, kept.map(usize::from), overtaken, setup),
        }
    }

    fn deliver(&mut self, link: LinkId, setup: &Setup) -> Result<(), Property> {
        match link {
            LinkId::ToScheduler => {
                if let Some(envelope) = self.to_scheduler.take() {
                    let effects = self.scheduler.receive(envelope, setup.faults);
                    self.scheduler_did(effects);
                }
                Ok(())
            }
            LinkId::ToDetokenizer => {
                if let Some(envelope) = self.to_detokenizer.take() {
                    for said in self.detokenizer.receive(envelope, setup.faults) {
                        self.texts.send(self.detokenizer.life, said);
                    }
                }
                Ok(())
            }
            LinkId::Texts => match self.texts.take() {
                Some(envelope) => {
                    let effects = self.tokenizer_manager.receive_text(envelope, setup.faults);
                    self.manager_did(effects, setup)
                }
                None => Ok(()),
            },
            LinkId::Replies => match self.replies.take() {
                Some(envelope) => {
                    let effects = self.tokenizer_manager.receive_reply(envelope, setup.faults);
                    self.manager_did(effects, setup)
                }
                None => Ok(()),
            },
        }
    }

    /// Drops frames that their receivers ignore: nobody can tell when that happens, so it may as well happen at once.
    pub(crate) fn settle(&mut self, setup: &Setup) {
        let faults = setup.faults;
        while self.to_scheduler.frames.first().is_some_and(|e| self.scheduler.ignores(e, faults)) {
            self.to_scheduler.take();
        }
        while self.to_detokenizer.frames.first().is_some_and(|e| self.detokenizer.ignores(e, faults)) {
            self.to_detokenizer.take();
        }
        // Also behind other frames: an attempt that is over stays over.
        self.texts.frames.retain(|e| {
            matches!(e.frame, Text::Hello { .. }) || !self.tokenizer_manager.ignores_text(e, faults)
        });
        while self.texts.frames.first().is_some_and(|e| self.tokenizer_manager.ignores_text(e, faults)) {
            self.texts.take();
        }
        while self.replies.frames.first().is_some_and(|e| self.tokenizer_manager.ignores_reply(e, faults)) {
            self.replies.take();
        }
    }

    fn manager_did(
        &mut self,
        effects: Vec<tokenizer_manager::Effect>,
        setup: &Setup,
    ) -> Result<(), Property> {
        use tokenizer_manager::Effect;
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.to_scheduler.send(self.tokenizer_manager.life, frame),
                Effect::Show { request, piece } => {
                    self.clients[usize::from(request)].show(request, piece)?;
                }
                Effect::End { request, ending } => self.end(request, ending, setup)?,
                Effect::Keep(len) => self.launcher.kept = self.launcher.kept.max(len),
                Effect::Answer(len) => self.answered = self.answered.max(len),
            }
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, request: u8, ending: Ending, setup: &Setup) -> Result<(), Property> {
        let poison = setup.poison.is_some_and(|poison| poison.request == request);
        self.clients[usize::from(request)].end(ending, setup.frames, poison)
    }

    fn scheduler_did(&mut self, effects: Vec<scheduler::Effect>) {
        use scheduler::Effect;
        for effect in effects {
            match effect {
                Effect::Output(output) => self.to_detokenizer.send(self.scheduler.life, output),
                Effect::Reply(reply) => self.replies.send(self.scheduler.life, reply),
                Effect::Reconnect => {
                    // A hello that reports a gap follows automatically.
                    self.replies.lose_sender(0);
                    if let Some(hello) = self.scheduler.hello() {
                        self.replies.send(self.scheduler.life, hello);
                    }
                }
            }
        }
    }

    fn step(&mut self, rid: u8, setup: &Setup) -> Result<(), Property> {
        if self.scheduler.count() < self.answered {
            return Err(Property::DesiredStateHolds);
        }
        if let Some(output) = self.scheduler.step(rid, setup.frames) {
            self.to_detokenizer.send(self.scheduler.life, output);
        }
        Ok(())
    }

    /// The sender of a link reconnects, and all frames after the first `kept` are lost.
    fn reconnect(&mut self, link: LinkId, kept: usize) {
        match link {
            LinkId::ToScheduler => {
                let hello = Some(self.tokenizer_manager.hello());
                self.to_scheduler.reconnect(kept, self.tokenizer_manager.life, hello);
            }
            LinkId::ToDetokenizer => {
                self.to_detokenizer.reconnect(kept, self.scheduler.life, Some(Output::Hello));
            }
            LinkId::Texts => {
                let hello = self.detokenizer.hello();
                self.texts.reconnect(kept, self.detokenizer.life, hello);
            }
            LinkId::Replies => {
                let hello: Option<Reply> = self.scheduler.hello();
                self.replies.reconnect(kept, self.scheduler.life, hello);
            }
        }
    }
}
