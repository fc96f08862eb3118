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
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// fleetServer has nodes of all sorts, and a rollout that failures have paused.
func fleetServer(t *testing.T) *apiServer {
	t.Helper()
	s := newAPIServer(t)
	other := edgeNode("edge-2", offline)
	other.Labels = map[string]string{"region": "us"}
	s.set(t, edgeNode("edge-1"), other, edgeNode("edge-3", neverConnected), edgeNode("edge-4", revoked), edgeNode("edge-5", heldBack(2)),
		objectSync(rolloutPaused), objectSync(named("plain")), objectSync(named("rolling"), rollingOut), objectSync(named("failing"), failing),
		&syncv1alpha1.ClusterObjectSync{
			ObjectMeta: metav1.ObjectMeta{Name: "policies", UID: "uid-policies"},
			Spec:       syncv1alpha1.SyncSpec{ObjectRef: &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: "shop"}, NodeName: "edge-1"},
		},
		configMap("settings", nil))
	s.inventories["edge-1"] = inventoryOf(
		entryIn(queryv1alpha1.StateQueued, called("a"), unheld),
		entryIn(queryv1alpha1.StateSent, called("b"), func(o *queryv1alpha1.InventoryObject) { o.SentTime = micro(3 * time.Second) }),
		entryIn(queryv1alpha1.StateRemoving, called("c"), undesired),
		entryIn(queryv1alpha1.StateFailed, called("d"), failedWith(syncv1alpha1.FailureApplyFailed), func(o *queryv1alpha1.InventoryObject) { o.Held = o.Desired }),
		entryIn(queryv1alpha1.StateFrozen, called("e")),
		entryIn(queryv1alpha1.StateSynced, func(o *queryv1alpha1.InventoryObject) {
			o.Held = o.Desired
			o.SentTime, o.PersistedTime, o.AppliedTime = micro(61*time.Second), micro(60*time.Second), micro(59*time.Second)
		}),
		entryIn(queryv1alpha1.StateSent, called("f"), func(o *queryv1alpha1.InventoryObject) {
			o.Held = &queryv1alpha1.ObjectVersion{UID: "former", ResourceVersion: "17"}
		}),
	)
	s.inventories["edge-5"] = inventoryOf(
		entryIn(queryv1alpha1.StateHeldBack, undesired), entryIn(queryv1alpha1.StateHeldBack, undesired, called("other")),
		entryIn(queryv1alpha1.StateSynced, called("kept")))
	return s
}

func TestOutput(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"nodes":                 "nodes",
		"nodes-wide":            "nodes -o wide",
		"nodes-selector":        "nodes -l region=us",
		"nodes-none":            "nodes -l region=mars",
		"nodes-named":           "nodes edge-1 edge-9",
		"nodes-names":           "nodes -o name",
		"nodes-yaml":            "nodes edge-2 -o yaml",
		"nodes-list-json":       "nodes edge-2 edge-3 -o json",
		"nodes-bad-selector":    "nodes -l region=(",
		"nodes-both":            "nodes edge-1 -l region=eu",
		"nodes-bad-output":      "nodes -o table",
		"status":                "status plain",
		"status-paused":         "status settings",
		"status-rolling":        "status rolling",
		"status-cluster":        "status clusterobjectsync/policies",
		"status-yaml":           "status plain -o yaml",
		"status-missing":        "status nothing",
		"status-bad-kind":       "status configmap/settings",
		"status-watch-and-wait": "status settings --watch --wait",
		"wait":                  "status plain --wait",
		"wait-failing":          "status failing --wait",
		"wait-paused":           "rollout status settings",
		"wait-timeout":          "status rolling --wait --timeout 200ms",
		"wait-negative":         "status rolling --wait --timeout -1s",
		"diff":                  "diff edge-1",
		"diff-wide":             "diff edge-1 -o wide",
		"diff-none":             "diff edge-1 --object ConfigMap/shop/settings",
		"diff-one":              "diff edge-1 --object cm/a",
		"diff-json":             "diff edge-1 -o json --object v1/ConfigMap/shop/b",
		"diff-offline":          "diff edge-2",
		"diff-revoked":          "diff edge-4",
		"diff-missing":          "diff edge-9",
		"diff-never-connected":  "diff edge-3",
		"why":                   "why edge-1 cm/settings",
		"why-json":              "why edge-1 configmaps/settings -o json",
		"why-not":               "why edge-1 ConfigMap/shop/unknown",
		"why-offline":           "why edge-2 configmap/settings",
		"why-cluster":           "why edge-1 namespace/shop",
		"why-group":             "why edge-1 deployment.apps/till",
		"why-bad-kind":          "why edge-1 gizmo/till",
		"why-bad-object":        "why edge-1 settings",
		"why-missing-node":      "why edge-9 cm/settings",
		"approve-none":          "approve-deletes edge-1",
		"rollout-not-paused":    "rollout resume plain",
		"bad-namespace":         "status settings -n elsewhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectGolden(t, name, transcript(t, fleetServer(t), "", args))
		})
	}
}

// Commands that change something, and what has changed.
func TestChanges(t *testing.T) {
	t.Parallel()
	const syncs, nodes = "/apis/sync.edgesync.io/v1alpha1/namespaces/shop/objectsyncs/", "/apis/sync.edgesync.io/v1alpha1/edgenodes/"
	for name, test := range map[string]struct {
		args, input string
		path        string
		field       []string
		want        types.GomegaMatcher
	}{
		"approve-node":    {"approve-deletes edge-5", "y\n", nodes + "edge-5", []string{"metadata", "annotations", syncv1alpha1.AnnotationApproveDeletes}, Equal("3f9a0c21")},
		"approve-refused": {"approve-deletes edge-5", "n\n", nodes + "edge-5", []string{"metadata", "annotations"}, BeNil()},
		"approve-silent":  {"approve-deletes edge-5", "", nodes + "edge-5", []string{"metadata", "annotations"}, BeNil()},
		"approve-sync": {"approve-deletes objectsync/plain --yes", "", syncs + "plain",
			[]string{"metadata", "annotations", syncv1alpha1.AnnotationApproveDeletes}, Equal("true")},
		"approve-cluster-sync": {"approve-deletes cosync/policies --yes", "", "/apis/sync.edgesync.io/v1alpha1/clusterobjectsyncs/policies",
			[]string{"metadata", "annotations", syncv1alpha1.AnnotationApproveDeletes}, Equal("true")},
		"rollout-pause":  {"rollout pause plain", "", syncs + "plain", []string{"spec", "suspend"}, BeTrue()},
		"rollout-resume": {"rollout resume settings", "", syncs + "settings", []string{"metadata", "annotations", syncv1alpha1.AnnotationResumeRollout}, Equal("9c1d")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fleetServer(t)
			expectGolden(t, name, transcript(t, s, test.input, test.args))
			NewWithT(t).Expect(fieldOf(s, test.path, test.field)).To(test.want)
		})
	}
}

func fieldOf(s *apiServer, path string, field []string) any {
	var value any = s.get(path).Object
	for _, name := range field {
		content, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = content[name]
	}
	return value
}

func TestResumeEndsASuspension(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, objectSync(suspended))
	g.Expect(transcript(t, s, "", "rollout resume settings")).To(HaveSuffix("objectsync/settings resumed\n"))
	path := "/apis/sync.edgesync.io/v1alpha1/namespaces/shop/objectsyncs/settings"
	g.Expect(fieldOf(s, path, []string{"spec", "suspend"})).To(BeFalse())
	g.Expect(fieldOf(s, path, []string{"metadata", "annotations"})).To(BeNil(), "nothing was paused by failures")
}

// Nobody approves deletions that he has not seen.
func TestApproveRefusesWhatMoves(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := fleetServer(t)
	s.inventories["edge-5"].Objects[0].State = queryv1alpha1.StateSynced
	g.Expect(transcript(t, s, "", "approve-deletes edge-5 --yes")).To(And(
		ContainSubstring("there were 2 deletions, and now there are 1; try again"), HaveSuffix("exit code 1\n")))
	g.Expect(fieldOf(s, "/apis/sync.edgesync.io/v1alpha1/edgenodes/edge-5", []string{"metadata", "annotations"})).To(BeNil())
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   string
		refuse func(r *http.Request) error
		want   string
		code   string
	}{
		"not installed": {"nodes", notServed, "install it with `kubectl apply -k config/default`", "exit code 1"},
		"forbidden": {"nodes", func(*http.Request) error {
			return apierrors.NewForbidden(syncv1alpha1.GroupVersion.WithResource("edgenodes").GroupResource(), "", nil)
		}, "an administrator can bind a role of edgesync to you", "exit code 1"},
		"unauthorized": {"nodes", func(*http.Request) error { return apierrors.NewUnauthorized("") }, "log in to the cluster again", "exit code 1"},
		"no query API": {"diff edge-1", queriesFail(notServed), "install config/query", "exit code 2"},
		"no manager": {"diff edge-1", queriesFail(func(*http.Request) error { return apierrors.NewServiceUnavailable("no endpoints") }),
			"kubectl get apiservice v1alpha1.query.sync.edgesync.io", "exit code 2"},
		"another answer": {"diff edge-1", queriesFail(func(*http.Request) error { return apierrors.NewTooManyRequests("slowly", 0) }),
			"ask what edge-1 holds: slowly", "exit code 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fleetServer(t)
			s.refuse = test.refuse
			NewWithT(t).Expect(transcript(t, s, "", test.args)).To(And(ContainSubstring("error: "), ContainSubstring(test.want), HaveSuffix(test.code+"\n")))
		})
	}
}

func queriesFail(fail func(*http.Request) error) func(*http.Request) error {
	return func(r *http.Request) error {
		if strings.HasPrefix(r.URL.Path, "/apis/query") {
			return fail(r)
		}
		return nil
	}
}

func TestDiffWithoutDifferences(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := fleetServer(t)
	s.inventories["edge-1"].Objects = nil
	g.Expect(transcript(t, s, "", "diff edge-1")).To(Equal("$ kubectl edgesync diff edge-1\nedge-1 holds all that it should (12 objects).\n"))
}

// Nobody waits for the kinds of a cluster to be listed who does not name one.
func TestNoDiscoveryWithoutNeed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := fleetServer(t)
	for _, args := range []string{"nodes", "status plain", "diff edge-1 --object ConfigMap/shop/settings", "approve-deletes edge-1"} {
		transcript(t, s, "", args)
	}
	g.Expect(s.requests).To(HaveEach(MatchRegexp(`^GET /apis/(query\.)?sync\.edgesync\.io/v1alpha1/`)))
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"nodes":           "edge-1 edge-2 edge-3 edge-4 edge-5",
		"diff":            "edge-1 edge-2 edge-3 edge-4 edge-5",
		"diff edge-1":     "",
		"why":             "edge-1 edge-2 edge-3 edge-4 edge-5",
		"status":          "failing plain rolling settings clusterobjectsync/policies",
		"rollout resume":  "failing plain rolling settings clusterobjectsync/policies",
		"approve-deletes": "edge-1 edge-2 edge-3 edge-4 edge-5 objectsync/failing objectsync/plain objectsync/rolling objectsync/settings clusterobjectsync/policies",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			NewWithT(t).Expect(completionsOf(t, fleetServer(t), args)).To(Equal(strings.Fields(want)))
		})
	}
}

// completionsOf are what a shell offers after the arguments.
func completionsOf(t *testing.T, s *apiServer, args string) []string {
	t.Helper()
	i := &invocation{}
	line := append([]string{"__complete"}, strings.Fields(args)...)
	line = append(line, "--kubeconfig", s.kubeconfig(t, "shop"), "--cache-dir", t.TempDir(), "")
	NewWithT(t).Expect(i.execute(t, line...)).To(BeZero())
	lines := strings.Split(strings.TrimSpace(i.out.String()), "\n")
	return lines[:len(lines)-1] // the last says how to complete
}

func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		i := &invocation{}
		g := NewWithT(t)
		g.Expect(i.execute(t, "completion", shell)).To(BeZero())
		g.Expect(i.out.String()).To(ContainSubstring("kubectl-edgesync"))
	}
}

// A watch prints what is there, then what changes, and ends in peace.
func TestWatchNodes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, edgeNode("edge-1"), edgeNode("edge-2", offline))
	i, end := start(t, s, "nodes", "--watch")
	g.Eventually(s.watching).Should(Receive())
	moved := edgeNode("edge-1")
	moved.Status.Session.ConnectedTime = ago(time.Hour)
	s.set(t, moved) // says nothing new but for the time
	s.set(t, edgeNode("edge-2"), edgeNode("edge-3", neverConnected))
	s.remove(edgeNode("edge-3"))
	g.Eventually(i.out.String).Should(ContainSubstring("Deleted"))
	g.Expect(end()).To(BeZero())
	expectGolden(t, "watch-nodes", i.out.String())
	g.Expect(i.errOut.String()).To(BeEmpty())
}

func TestWatchNodesAsJSON(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, edgeNode("edge-1"), edgeNode("edge-2", offline))
	i, end := start(t, s, "nodes", "edge-1", "--watch", "-o", "name")
	g.Eventually(s.watching).Should(Receive())
	s.set(t, edgeNode("edge-2"), edgeNode("edge-1", offline))
	g.Eventually(i.out.String).Should(Equal("edgenode.sync.edgesync.io/edge-1\nedgenode.sync.edgesync.io/edge-1\n"))
	g.Expect(end()).To(BeZero())
}

func TestWatchStatus(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, objectSync(rollingOut))
	i, end := start(t, s, "status", "settings", "--watch")
	g.Eventually(s.watching).Should(Receive())
	s.set(t, objectSync(rollingOut)) // says nothing new
	s.set(t, objectSync(rolloutPaused), objectSync(named("another")), objectSync())
	s.remove(objectSync())
	g.Eventually(i.out.String).Should(ContainSubstring("Deleted"))
	g.Expect(end()).To(BeZero())
	expectGolden(t, "watch-status", i.out.String())
}

// A status of before the last change does not end a wait.
func TestWaitSeesTheLastChange(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	version := func(version string) func(*syncv1alpha1.ObjectSync) {
		return func(s *syncv1alpha1.ObjectSync) { s.Status.ObjectResourceVersion = version }
	}
	s.set(t, configMap("settings", nil), objectSync(version("4711")))
	i, end := start(t, s, "status", "settings", "--wait")
	g.Eventually(s.watching).Should(Receive())
	s.set(t, objectSync(version("4712"), progressing))
	g.Eventually(i.out.String).Should(ContainSubstring("40 of 91"))
	s.set(t, objectSync(version("4712")))
	g.Eventually(i.ended).Should(BeClosed())
	g.Expect(end()).To(BeZero())
	g.Expect(i.out.String()).To(Equal("objectsync shop/settings: the manager has not seen the last change yet\n" +
		"objectsync shop/settings: 40 of 91 connected nodes are synced (Progressing)\n" +
		"objectsync shop/settings: synced on 91 nodes; 9 are offline, and get it when they connect\n"))
}

func TestWaitEndsWithTheSync(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, configMap("settings", nil), objectSync(progressing))
	i, end := start(t, s, "status", "settings", "--wait")
	g.Eventually(s.watching).Should(Receive())
	s.remove(objectSync())
	g.Eventually(i.ended).Should(BeClosed())
	g.Expect(end()).To(Equal(1))
	g.Expect(i.errOut.String()).To(Equal("error: objectsync shop/settings was deleted\n"))
}

func TestWaitCanBeInterrupted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	s := newAPIServer(t)
	s.set(t, objectSync(progressing))
	i, end := start(t, s, "status", "settings", "--wait")
	g.Eventually(s.watching).Should(Receive())
	g.Expect(end()).To(Equal(1))
	g.Expect(i.errOut.String()).To(Equal("error: interrupted\n"))
}
