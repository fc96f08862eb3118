/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"fmt"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// sentence is the answer.
func (q *question) sentence() string {
	if entry := q.entry(); entry != nil {
		return q.sentenceOf(entry)
	}
	switch {
	case q.node.Spec.Revoked:
		return fmt.Sprintf("%s is revoked, so the manager refuses it and gives it nothing; allow it again with: "+
			"kubectl patch edgenode %[1]s --type=merge -p '{\"spec\":{\"revoked\":false}}'.", q.node.Name)
	case q.inventory != nil:
		return q.notMeant()
	case !q.wanted():
		return q.notMeant()
	case q.undelivered(q.verdicts()[0].sync) != "":
		return q.undelivered(q.verdicts()[0].sync)
	case q.node.Status.Session == nil:
		return fmt.Sprintf("%s is %s: it gets %s when it connects, unless it holds it already.",
			q.node.Name, away(q.node, q.now), q.called())
	}
	return fmt.Sprintf("%s should hold %s, and whether it does is not known: %v.", q.node.Name, q.called(), q.inventoryErr)
}

func (q *question) called() string { return describe(q.key) }

// wanted reports whether a sync wants the object, and there is one.
func (q *question) wanted() bool {
	verdicts := q.verdicts()
	return len(verdicts) > 0 && verdicts[0].wants() && (q.object != nil || q.objectErr != nil)
}

// notMeant is the answer when the node should not hold the object, or cannot get it.
func (q *question) notMeant() string {
	verdicts := q.verdicts()
	if len(verdicts) > 0 && verdicts[0].wants() {
		if text := q.undelivered(verdicts[0].sync); text != "" {
			return text
		}
	}
	switch {
	case q.object == nil && q.objectErr == nil:
		return fmt.Sprintf("%s does not exist in the cluster, so there is nothing to deliver.", q.called())
	case len(verdicts) == 0:
		return q.unnamed()
	case verdicts[0].wants():
		return fmt.Sprintf("%s wants %s on %s, and the manager has not come to that yet: ask again in a moment.",
			verdicts[0].sync, q.called(), q.node.Name)
	case verdicts[0].object && len(verdicts) == 1:
		return fmt.Sprintf("%s wants %s, but not on %s: %s.", verdicts[0].sync, q.called(), q.node.Name, q.whyNotNode(verdicts[0].sync))
	case verdicts[0].object:
		return fmt.Sprintf("No sync wants %s on %s; the closest is %s: %s.",
			q.called(), q.node.Name, verdicts[0].sync, q.whyNotNode(verdicts[0].sync))
	case verdicts[0].node:
		return fmt.Sprintf("%s is for %s, but does not select %s: %s.",
			verdicts[0].sync, q.node.Name, q.called(), q.whyNotObject(verdicts[0].sync))
	}
	return fmt.Sprintf("No sync wants %s on %s: of those of its kind, none selects the object or the node.", q.called(), q.node.Name)
}

func (q *question) unnamed() string {
	if q.key.Namespace == "" {
		return fmt.Sprintf("No ClusterObjectSync names or selects %s, so it belongs on no node.", q.called())
	}
	return fmt.Sprintf("No ObjectSync in the namespace %s names or selects %s, so it belongs on no node.", q.key.Namespace, q.called())
}

// undelivered is why what a sync wants on the node has not come to be wanted there; empty
// if nothing is known against it.
func (q *question) undelivered(s sync) string {
	switch stalled := s.stalled(); {
	case s.GetDeletionTimestamp() != nil:
		return fmt.Sprintf("%s wants %s on %s, but is being deleted.", s, q.called(), q.node.Name)
	case s.spec.Suspend:
		return fmt.Sprintf("%s wants %s on %s, but is suspended; go on with: kubectl edgesync rollout resume %s.",
			s, q.called(), q.node.Name, s.arguments())
	case stalled != nil && !isRolloutPause(stalled.Reason):
		return fmt.Sprintf("%s wants %s on %s, but is stalled (%s): %s", s, q.called(), q.node.Name, stalled.Reason, stalled.Message)
	}
	return ""
}

func isRolloutPause(reason string) bool { return reason == syncv1alpha1.ReasonRolloutPaused }

// sentenceOf is the answer for an object that the node holds or should hold.
func (q *question) sentenceOf(entry *queryv1alpha1.InventoryObject) string {
	node, called := q.node.Name, q.called()
	switch entry.State {
	case queryv1alpha1.StateSynced:
		return fmt.Sprintf("%s holds %s as it should, and has applied it.", node, called)
	case queryv1alpha1.StateFrozen:
		return q.frozen(entry)
	case queryv1alpha1.StateWaiting:
		return q.waitsForTurn(entry)
	case queryv1alpha1.StateQueued:
		return q.queued(entry)
	case queryv1alpha1.StateSent:
		return fmt.Sprintf("%s was sent to %s%s, and the node has not answered yet.", q.change(entry), node, q.ago(entry))
	case queryv1alpha1.StatePersisted:
		return fmt.Sprintf("%s has stored %s, and has not applied it yet.", node, called)
	case queryv1alpha1.StateProgressing:
		return fmt.Sprintf("%s has applied %s, and it is not healthy there yet.", node, called)
	case queryv1alpha1.StateRemoving:
		return fmt.Sprintf("%s should no longer have %s, and is still taking it away where it was applied.", node, called)
	case queryv1alpha1.StateHeldBack:
		return fmt.Sprintf("%s keeps %s, which nothing wants there any longer, since one change would delete most of what the node holds; "+
			"see what, and approve it, with: kubectl edgesync approve-deletes %[1]s.", node, called)
	case queryv1alpha1.StateFailed:
		return q.failed(entry)
	}
	return fmt.Sprintf("%s on %s is in the state %s, which this version of the plugin does not know.", called, node, entry.State)
}

// change is what is on its way: the object, or its deletion.
func (q *question) change(entry *queryv1alpha1.InventoryObject) string {
	if entry.Desired == nil {
		return "The deletion of " + q.called()
	}
	return q.called()
}

func (q *question) ago(entry *queryv1alpha1.InventoryObject) string {
	if entry.SentTime == nil {
		return ""
	}
	return " " + age(q.now, entry.SentTime.Time) + " ago"
}

func (q *question) queued(entry *queryv1alpha1.InventoryObject) string {
	holds := "does not hold it yet"
	switch {
	case entry.Desired == nil:
		holds = "still holds it"
	case entry.Held != nil:
		holds = "holds another version"
	}
	text := fmt.Sprintf("%s is about to be sent to %s, which %s", q.change(entry), q.node.Name, holds)
	if entry.Failure != nil {
		return fmt.Sprintf("%s; the last try failed (%s: %s).", text, entry.Failure.Reason, entry.Failure.Message)
	}
	return text + "."
}

// keeps is what a node does with an object that is frozen.
func keeps(entry *queryv1alpha1.InventoryObject) string {
	if entry.Held == nil {
		return "does not get"
	}
	return "keeps what it holds of"
}

func (q *question) frozen(entry *queryv1alpha1.InventoryObject) string {
	begin := fmt.Sprintf("%s %s %s", q.node.Name, keeps(entry), q.called())
	if q.node.Spec.Suspend {
		return fmt.Sprintf("%s, since the node is suspended; go on with: kubectl patch edgenode %s --type=merge -p '{\"spec\":{\"suspend\":false}}'.",
			begin, q.node.Name)
	}
	for _, s := range q.sources() {
		if s.spec.Suspend {
			return fmt.Sprintf("%s, since %s is suspended; go on with: kubectl edgesync rollout resume %s.", begin, s, s.arguments())
		}
		if stalled := s.stalled(); stalled != nil && !isRolloutPause(stalled.Reason) {
			return fmt.Sprintf("%s, since %s is stalled (%s): %s", begin, s, stalled.Reason, stalled.Message)
		}
	}
	return begin + ", since the manager does not know yet what the node should hold of that kind."
}

func (q *question) waitsForTurn(entry *queryv1alpha1.InventoryObject) string {
	begin := fmt.Sprintf("%s %s %s, since the turn of the node has not come", q.node.Name, keeps(entry), q.called())
	for _, s := range q.sources() {
		rollout := s.status.Rollout
		switch {
		case rollout == nil:
			continue
		case rollout.Paused:
			return fmt.Sprintf("%s in the rollout of %s, which is paused after %s: %s Go on with: kubectl edgesync rollout resume %s.",
				begin, s, rolloutProgress(s), pausedBecause(s), s.arguments())
		}
		return fmt.Sprintf("%s in the rollout of %s: %s have had theirs.", begin, s, rolloutProgress(s))
	}
	return begin + "."
}

// failed says what went wrong and who acts.
func (q *question) failed(entry *queryv1alpha1.InventoryObject) string {
	node, called := q.node.Name, q.called()
	failure := entry.Failure
	if failure == nil {
		return fmt.Sprintf("%s failed with %s, and the manager does not say why.", node, called)
	}
	switch failure.Reason {
	case syncv1alpha1.FailureRejected:
		return fmt.Sprintf("%s refuses %s (%s); it is sent again when its content changes.", node, called, failure.Message)
	case syncv1alpha1.FailureTooLarge:
		return fmt.Sprintf("%s refuses %s, since it is too large (%s); make it smaller, or raise maxObjectBytes of the agent.",
			node, called, failure.Message)
	case syncv1alpha1.FailureStoreFailed:
		return fmt.Sprintf("%s cannot store %s (%s); it is sent again by itself, once the disk of the machine allows it.",
			node, called, failure.Message)
	case syncv1alpha1.FailureApplyFailed:
		return fmt.Sprintf("%s has stored %s, and fails to apply it (%s); the node tries again by itself.", node, called, failure.Message)
	case syncv1alpha1.FailureRemoveFailed:
		return fmt.Sprintf("%s should no longer have %s, and fails to take it away (%s); the node tries again by itself.",
			node, called, failure.Message)
	}
	return fmt.Sprintf("%s fails with %s (%s: %s).", node, called, failure.Reason, failure.Message)
}
