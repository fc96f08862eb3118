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

package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
)

func nodeState(summary delivery.Summary) *NodeState {
	return &NodeState{
		SessionID: "s1", ConnectedTime: time.Unix(1000, 5), RemoteAddress: "192.0.2.1:4000",
		AgentVersion: "v1", BootID: "b1", Summary: summary,
	}
}

func condition(status *syncv1alpha1.EdgeNodeStatus, kind string) metav1.Condition {
	if found := apimeta.FindStatusCondition(status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

func TestNodeStatusConditions(t *testing.T) {
	t.Parallel()
	own := &syncv1alpha1.EdgeNodeSession{ID: "s0", Replica: "me"}
	for name, test := range map[string]struct {
		before            syncv1alpha1.EdgeNodeStatus
		o                 nodeObservation
		connected, synced string // status and reason
		message           string
	}{
		"never connected": {connected: "False NeverConnected", synced: "Unknown Offline"},
		"connected": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Desired: 1, Held: 1})},
			connected: "True Connected", synced: "True Synced",
		},
		"contested": {
			o: nodeObservation{state: func() *NodeState {
				state := nodeState(delivery.Summary{Desired: 1, Held: 1})
				state.Contenders = []string{"192.0.2.1:4000", "192.0.2.2:5000"}
				return state
			}()},
			connected: "True DuplicateIdentity", synced: "True Synced",
		},
		"on the way": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Desired: 2, Pending: 1})},
			connected: "True Connected", synced: "False Progressing",
		},
		"its turn has not come": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Desired: 2, Held: 2, Pending: 2, Waiting: 2})},
			connected: "True Connected", synced: "False RollingOut",
		},
		"its turn has not come, and something else is on the way": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Desired: 2, Held: 1, Pending: 2, Waiting: 1})},
			connected: "True Connected", synced: "False Progressing",
		},
		"failing": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Pending: 1, Failed: 1})},
			connected: "True Connected", synced: "False Failed",
		},
		"deletions wait": {
			o:         nodeObservation{state: nodeState(delivery.Summary{Failed: 1, HeldBack: 20, ApprovalCode: "c0de"})},
			connected: "True Connected", synced: "False DeletesHeldBack",
			message: "kubectl annotate edgenode edge-1 --overwrite sync.edgesync.io/approve-deletes=c0de",
		},
		"a kind is not known": {
			o:         nodeObservation{unlisted: "Secret in v1", state: nodeState(delivery.Summary{Held: 1, Kept: 1})},
			connected: "True Connected", synced: "Unknown KindNotListed", message: "Secret in v1",
		},
		"a kind is not known, and the node holds nothing of it": {
			o:         nodeObservation{unlisted: "Secret in v1", state: nodeState(delivery.Summary{Held: 1})},
			connected: "True Connected", synced: "True Synced",
		},
		"suspended": {
			o:         nodeObservation{spec: syncv1alpha1.EdgeNodeSpec{Suspend: true}, state: nodeState(delivery.Summary{Pending: 3})},
			connected: "True Connected", synced: "Unknown Suspended",
		},
		"disconnected": {
			before:    syncv1alpha1.EdgeNodeStatus{Session: own},
			connected: "False Disconnected", synced: "Unknown Offline",
		},
		"revoked": {
			before:    syncv1alpha1.EdgeNodeStatus{Session: own},
			o:         nodeObservation{spec: syncv1alpha1.EdgeNodeSpec{Revoked: true}},
			connected: "False Revoked", synced: "Unknown Revoked", message: "keeps what it held",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			test.o.name, test.o.generation, test.o.replica, test.o.now = "edge-1", 3, "me", time.Unix(2000, 5)
			status := nodeStatus(&test.before, &test.o)
			connected, synced := condition(status, syncv1alpha1.ConditionConnected), condition(status, syncv1alpha1.ConditionSynced)
			g.Expect(string(connected.Status) + " " + connected.Reason).To(Equal(test.connected))
			g.Expect(string(synced.Status) + " " + synced.Reason).To(Equal(test.synced))
			g.Expect(synced.Message).To(ContainSubstring(test.message))
			g.Expect(synced.ObservedGeneration).To(BeEquivalentTo(3))
			g.Expect(nodeStatus(status, &test.o)).To(Equal(status), "what has not changed is not written again")
		})
	}
}

func TestNodeStatusOverASession(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	since, later := time.Unix(1500, 0), time.Unix(1700, 0)
	fail := func(since time.Time) delivery.Summary {
		return delivery.Summary{
			Desired: 5, Held: 4, Pending: 1, Failed: 1,
			Failures: []delivery.Failure{{Ref: "v1/ConfigMap/shop/a", Reason: delivery.FailedToStore, Message: "disk full", Since: since}},
		}
	}
	o := &nodeObservation{replica: "me", state: nodeState(fail(since)), now: time.Unix(2000, 5)}
	connected := nodeStatus(&syncv1alpha1.EdgeNodeStatus{LastSeenTime: &metav1.Time{Time: since}}, o)
	g.Expect(connected.Session).To(Equal(&syncv1alpha1.EdgeNodeSession{
		ID: "s1", Replica: "me", ConnectedTime: metav1.NewTime(time.Unix(1000, 0)).Rfc3339Copy(), RemoteAddress: "192.0.2.1:4000",
	}))
	g.Expect(connected.LastSeenTime).To(BeNil())
	g.Expect(connected.AgentVersion).To(Equal("v1"))
	g.Expect(connected.Objects).To(Equal(syncv1alpha1.ObjectCounts{Desired: 5, Held: 4, Pending: 1, Failed: 1}))
	g.Expect(connected.Failures).To(Equal([]syncv1alpha1.ObjectFailure{{
		Object: "v1/ConfigMap/shop/a", Reason: syncv1alpha1.FailureStoreFailed, Message: "disk full", Since: metav1.NewTime(since).Rfc3339Copy(),
	}}))

	o.state = nodeState(fail(later))
	g.Expect(nodeStatus(connected, o).Failures).To(Equal(connected.Failures), "the failure is as old as it was")

	o.state = nil
	away := nodeStatus(connected, o)
	g.Expect(away.Session).To(BeNil())
	g.Expect(away.LastSeenTime.Time).To(BeTemporally("==", time.Unix(2000, 0)))
	g.Expect(away.Objects).To(Equal(connected.Objects), "what was last known stays")
	o.now = time.Unix(3000, 0)
	g.Expect(nodeStatus(away, o)).To(Equal(away))
}

func TestNodeStatusOfAnExpiredCertificate(t *testing.T) {
	t.Parallel()
	issued := func(notAfter int64) []syncv1alpha1.IssuedCertificate {
		return []syncv1alpha1.IssuedCertificate{
			{Serial: "2", NotAfter: metav1.Unix(notAfter, 0)},
			{Serial: "1", NotAfter: metav1.Unix(100, 0)},
		}
	}
	const renewal, rejoin = "it is renewed when the node connects", "manager token create --node edge-1 --rejoin"
	for name, test := range map[string]struct {
		before  syncv1alpha1.EdgeNodeStatus
		spec    syncv1alpha1.EdgeNodeSpec
		state   *NodeState
		message string // of Connected
		again   time.Duration
	}{
		"no certificate is known": {message: "No edge-agent has connected as this node yet."},
		"good": {
			before:  syncv1alpha1.EdgeNodeStatus{LastSeenTime: &metav1.Time{}, Certificates: issued(2100)},
			message: "The last session of the node has ended.", again: 100 * time.Second,
		},
		"expired now":                  {before: syncv1alpha1.EdgeNodeStatus{Certificates: issued(2000)}, message: renewal, again: time.Hour},
		"expired":                      {before: syncv1alpha1.EdgeNodeStatus{Certificates: issued(1990)}, message: renewal, again: time.Hour - 10*time.Second},
		"the grace is over":            {before: syncv1alpha1.EdgeNodeStatus{Certificates: issued(2000 - 3600)}, message: rejoin},
		"expired, and it is connected": {before: syncv1alpha1.EdgeNodeStatus{Certificates: issued(1990)}, state: nodeState(delivery.Summary{}), message: "The node has a session."},
		"expired, and it is revoked": {
			before: syncv1alpha1.EdgeNodeStatus{Certificates: issued(1990)}, spec: syncv1alpha1.EdgeNodeSpec{Revoked: true},
			message: "spec.revoked is set", again: time.Hour - 10*time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			o := &nodeObservation{name: "edge-1", spec: test.spec, state: test.state, renewalGrace: time.Hour, now: time.Unix(2000, 0)}
			status := nodeStatus(&test.before, o)
			g.Expect(condition(status, syncv1alpha1.ConditionConnected).Message).To(ContainSubstring(test.message))
			g.Expect(untilExpiry(status, o)).To(Equal(test.again))
		})
	}
}

func TestNodeStatusEndsTheSessionOfAReplicaThatIsGone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	theirs := nodeStatus(&syncv1alpha1.EdgeNodeStatus{}, &nodeObservation{replica: "other", state: nodeState(delivery.Summary{})})
	away := nodeStatus(theirs, &nodeObservation{replica: "me"})
	g.Expect(away.Session).To(BeNil())
	g.Expect(condition(away, syncv1alpha1.ConditionConnected).Reason).To(Equal(syncv1alpha1.ReasonDisconnected))
	taken := nodeStatus(theirs, &nodeObservation{replica: "me", state: nodeState(delivery.Summary{})})
	g.Expect(taken.Session.Replica).To(Equal("me"))
}

func TestNodeEvents(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	status := func(summary delivery.Summary) *syncv1alpha1.EdgeNodeStatus {
		return nodeStatus(&syncv1alpha1.EdgeNodeStatus{}, &nodeObservation{replica: "me", state: nodeState(summary)})
	}
	reasons := func(before, after delivery.Summary) (reasons []string) {
		for _, e := range nodeEvents(status(before), status(after)) {
			reasons = append(reasons, e.reason)
		}
		return reasons
	}
	heldBack := delivery.Summary{HeldBack: 10, ApprovalCode: "one"}
	failing := delivery.Summary{Failed: 1, Failures: []delivery.Failure{{Reason: delivery.FailedToRemove}}}
	g.Expect(reasons(delivery.Summary{}, delivery.Summary{Pending: 1})).To(BeEmpty())
	g.Expect(reasons(delivery.Summary{}, heldBack)).To(Equal([]string{syncv1alpha1.ReasonDeletesHeldBack}))
	g.Expect(reasons(heldBack, heldBack)).To(BeEmpty())
	g.Expect(reasons(heldBack, delivery.Summary{HeldBack: 12, ApprovalCode: "two"})).To(Equal([]string{syncv1alpha1.ReasonDeletesHeldBack}))
	g.Expect(reasons(delivery.Summary{}, failing)).To(Equal([]string{syncv1alpha1.FailureRemoveFailed}))
	g.Expect(reasons(failing, failing)).To(BeEmpty())
}

func TestNodeEventsOfAContest(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	status := func(session string, contenders ...string) *syncv1alpha1.EdgeNodeStatus {
		state := nodeState(delivery.Summary{})
		state.SessionID, state.Contenders = session, contenders
		return nodeStatus(&syncv1alpha1.EdgeNodeStatus{}, &nodeObservation{name: "edge-1", state: state})
	}
	quiet, contest := status("s1"), status("s2", "192.0.2.1:4000", "192.0.2.2:5000")
	told := nodeEvents(quiet, contest)
	g.Expect(told).To(HaveLen(1))
	g.Expect(told[0].kind + " " + told[0].reason).To(Equal("Warning DuplicateIdentity"))
	g.Expect(told[0].note).To(And(ContainSubstring("192.0.2.1:4000 and 192.0.2.2:5000"), ContainSubstring("--node edge-1 --rejoin")))
	g.Expect(nodeEvents(contest, status("s3", "192.0.2.2:5000", "192.0.2.1:4001"))).To(BeEmpty(), "it goes on")
	g.Expect(nodeEvents(contest, quiet)).To(BeEmpty())
	g.Expect(nodeEvents(nodeStatus(contest, &nodeObservation{}), contest)).To(HaveLen(1), "it begins anew")
}

func TestSettling(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	at := func(seconds int) time.Time { return time.Unix(1000, 0).Add(time.Duration(seconds) * time.Second) }
	status := func(summary delivery.Summary) *syncv1alpha1.EdgeNodeStatus {
		return nodeStatus(&syncv1alpha1.EdgeNodeStatus{}, &nodeObservation{replica: "me", state: nodeState(summary)})
	}
	written := status(delivery.Summary{Desired: 100, Held: 100})
	moving := func(pending int) *syncv1alpha1.EdgeNodeStatus {
		after := written.DeepCopy()
		return nodeStatus(after, &nodeObservation{replica: "me", state: nodeState(delivery.Summary{Desired: 100, Held: 100, Pending: pending})})
	}
	s := &settling{}
	expect := func(second int, next *syncv1alpha1.EdgeNodeStatus, rest int) {
		t.Helper()
		urgent := !differsOnlyInProgress(written, next)
		next = next.DeepCopy()
		resetTransitions(next.Conditions)
		g.Expect(s.rest(at(second), next, urgent, defaultTiming)).To(Equal(time.Duration(rest) * time.Second))
	}
	// What moves is written when it has come to rest,
	expect(10, moving(9), 5)
	expect(12, moving(5), 5)
	expect(14, moving(5), 3)
	expect(17, moving(5), 0)
	s = &settling{}
	// or has moved for long.
	for second := range 25 {
		expect(100+second, moving(100-second), 5)
	}
	expect(127, moving(50), 3)
	expect(130, moving(49), 0)
	// Failures and deletions that wait are written at once, and so is a new session.
	for _, summary := range []delivery.Summary{
		{Desired: 100, Held: 100, Failed: 1},
		{Desired: 100, Held: 100, HeldBack: 10, ApprovalCode: "code"},
	} {
		s = &settling{}
		expect(200, status(summary), 0)
	}
	other := status(delivery.Summary{Desired: 100, Held: 100})
	other.Session.ID = "s2"
	expect(200, other, 0)
}
