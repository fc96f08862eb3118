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

package query

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	discoveryclient "k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
)

// as is a client of the API server for the user.
func (w *world) as(user string) *rest.RESTClient {
	w.t.Helper()
	config := rest.CopyConfig(cluster.plane.RESTConfig())
	certificate, key, err := cluster.plane.IssueClientCert(user)
	w.g.Expect(err).NotTo(HaveOccurred())
	config.CertData, config.KeyData = certificate, key
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	c, err := rest.UnversionedRESTClientFor(config)
	w.g.Expect(err).NotTo(HaveOccurred())
	return c
}

// ask asks the API server for an inventory, by name and parameters.
func (w *world) ask(user, what string) (*queryv1alpha1.NodeInventory, error) {
	w.t.Helper()
	result := w.as(user).Get().RequestURI(versionPath + "/nodeinventories/" + what).Do(w.t.Context())
	if err := result.Error(); err != nil {
		return nil, err // as kubectl get --raw has it
	}
	raw, err := result.Raw()
	w.g.Expect(err).NotTo(HaveOccurred())
	inventory := &queryv1alpha1.NodeInventory{}
	w.g.Expect(json.Unmarshal(raw, inventory)).To(Succeed())
	return inventory, nil
}

// allow gives the user the right to ask for the node.
func (w *world) allow(user, node string) {
	w.t.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"query.sync.edgesync.io"}, Resources: []string{"nodeinventories"}, ResourceNames: []string{node}, Verbs: []string{"get"},
		}},
	}
	w.g.Expect(cluster.admin.Create(w.t.Context(), role)).To(Succeed())
	w.g.Expect(cluster.admin.Create(w.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})).To(Succeed())
}

func configMap(name string, stage delivery.Stage) delivery.Object {
	wanted := object.Object{
		Key: object.Key{Kind: "ConfigMap", Namespace: "default", Name: name}, UID: "u-" + name, Version: "7", Digest: object.DigestOf([]byte(name)),
	}
	o := delivery.Object{Key: wanted.Key, Want: desired.Want{Object: &wanted}, Stage: stage}
	held := delivery.Held{Holding: o.Want.Holding()}
	o.Held = &held
	return o
}

// Everything that needs the API server to know the API, of which it knows one of a name.
func TestThroughAPIServer(t *testing.T) {
	w := newWorld(t)
	w.register()
	for _, node := range []string{"here", "there", "gone", "away", "lost", "nobody", "moved"} {
		w.allow("alice", node)
	}
	w.addNode("here", "a")
	w.addNode("there", "b")
	w.addNode("away", "")
	w.addNode("lost", "c")
	w.addNode("moved", "b")
	sent := configMap("b", delivery.StageSent)
	sent.Sent = time.Unix(2000, 3000)
	w.a.sessions.set("here", sent, configMap("a", delivery.StageSynced))
	w.b.sessions.set("there", configMap("a", delivery.StageSynced))

	t.Run("answers what it knows itself", func(t *testing.T) {
		g := NewWithT(t)
		inventory, err := w.ask("alice", "here")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(inventory.Kind).To(Equal("NodeInventory"))
		g.Expect(inventory.Name).To(Equal("here"))
		g.Expect(inventory.Replica).To(Equal("a"))
		g.Expect(inventory.Session).To(Equal("session-of-here"))
		g.Expect(inventory.ConnectedTime.Unix()).To(BeEquivalentTo(1000))
		digest := object.DigestOf([]byte("a"))
		version := &queryv1alpha1.ObjectVersion{UID: "u-a", ResourceVersion: "7", Digest: fmt.Sprintf("%x", digest[:])}
		g.Expect(inventory.Objects).To(HaveLen(2))
		g.Expect(inventory.Total).To(BeEquivalentTo(2))
		g.Expect(inventory.Objects[0]).To(Equal(queryv1alpha1.InventoryObject{
			Kind: "ConfigMap", Namespace: "default", Name: "a", State: queryv1alpha1.StateSynced,
			Desired: version, Held: version, Sources: []string{"default/z", "fleet"},
		}))
		g.Expect(inventory.Objects[1].Name).To(Equal("b"))
		g.Expect(inventory.Objects[1].SentTime.Time).To(BeTemporally("==", sent.Sent))
		g.Expect(inventory.Objects[1].PersistedTime).To(BeNil())
	})
	t.Run("has the other replica answer", func(t *testing.T) {
		g := NewWithT(t)
		inventory, err := w.ask("alice", "there")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(inventory.Replica).To(Equal("b"))
		g.Expect(inventory.Objects).To(HaveLen(1))
		inventory, err = w.ask("alice", "there?different=true")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(inventory.Total).To(BeEquivalentTo(1), "whichever are selected")
		g.Expect(inventory.Objects).To(BeEmpty(), "the parameters go with the request")
	})
	t.Run("refuses who has no right", func(t *testing.T) {
		g := NewWithT(t)
		for _, node := range []string{"here", "there", "away", "nobody"} {
			_, err := w.ask("bob", node)
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		}
		_, err := w.ask("alice", "elsewhere")
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "the right is one to a node: %v", err)
	})
	t.Run("says what is missing", func(t *testing.T) {
		g := NewWithT(t)
		_, err := w.ask("alice", "nobody")
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
		g.Expect(err).To(MatchError(ContainSubstring("there is no EdgeNode of that name")))
		_, err = w.ask("alice", "away")
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue())
		g.Expect(err).To(MatchError(ContainSubstring("the node is not connected")))
		_, err = w.ask("alice", "lost")
		g.Expect(apierrors.IsServiceUnavailable(err)).To(BeTrue())
		g.Expect(err).To(MatchError(ContainSubstring("the replica c, which has the session of lost, does not answer")))
		_, err = w.ask("alice", "moved")
		g.Expect(apierrors.IsServiceUnavailable(err)).To(BeTrue())
		g.Expect(err).To(MatchError(ContainSubstring("has no session at the replica b any longer")))
		_, err = w.ask("alice", "here?different=perhaps")
		g.Expect(apierrors.IsBadRequest(err)).To(BeTrue())
	})
	t.Run("is discovered", func(t *testing.T) {
		g := NewWithT(t)
		found, err := discoveryclient.NewDiscoveryClientForConfig(cluster.plane.RESTConfig())
		g.Expect(err).NotTo(HaveOccurred())
		g.Eventually(func(g Gomega) {
			_, all, err := found.ServerGroupsAndResources()
			g.Expect(err).NotTo(HaveOccurred())
			var names []string
			for _, list := range all {
				for _, r := range list.APIResources {
					names = append(names, r.Name+"."+list.GroupVersion)
				}
			}
			g.Expect(names).To(ContainElement("nodeinventories.query.sync.edgesync.io/v1alpha1"))
		}).WithTimeout(deadline).Should(Succeed())
	})
	t.Run("goes on with the next CA", func(t *testing.T) {
		g := NewWithT(t)
		ca, err := pki.NewCA(metav1.Now().Time)
		g.Expect(err).NotTo(HaveOccurred())
		w.authority.Set(pki.Trust{CA: ca})
		publisher := &Publisher{Client: cluster.admin, Authority: w.authority, Log: w.a.options.Log}
		g.Expect(publisher.publish(t.Context())).To(Succeed())
		g.Eventually(func() error {
			_, err := w.ask("alice", "there")
			return err
		}).WithTimeout(deadline).Should(Succeed())
	})
}

// A publisher that has nothing to say does not write, and one without an APIService is no error.
func TestPublisher(t *testing.T) {
	w := newWorld(t)
	publisher := &Publisher{Client: cluster.admin, Authority: w.authority, Log: w.a.options.Log}
	w.g.Expect(publisher.publish(t.Context())).To(Succeed())
	w.register()
	version := func() string {
		service := &unstructured.Unstructured{}
		service.SetGroupVersionKind(apiServiceKind)
		w.g.Expect(cluster.admin.Get(t.Context(), client.ObjectKey{Name: APIService}, service)).To(Succeed())
		return fmt.Sprint(service.Object["spec"])
	}
	before := version()
	cluster := countingClient{Client: cluster.admin}
	publisher.Client = &cluster
	w.g.Expect(publisher.publish(t.Context())).To(Succeed())
	w.g.Expect(cluster.patches).To(BeZero())
	w.g.Expect(version()).To(Equal(before))
}

type countingClient struct {
	client.Client
	patches int
}

func (c *countingClient) Patch(ctx context.Context, o client.Object, p client.Patch, options ...client.PatchOption) error {
	c.patches++
	return c.Client.Patch(ctx, o, p, options...)
}

func TestTruncated(t *testing.T) {
	w := newWorld(t)
	var many []delivery.Object
	for i := range maxObjects + 1 {
		many = append(many, configMap(fmt.Sprintf("n-%06d", i), delivery.StageQueued))
	}
	w.a.sessions.set("here", many...)

	inventory := w.a.inventory("here", selection{})

	w.g.Expect(inventory.Objects).To(HaveLen(maxObjects))
	w.g.Expect(inventory.Truncated).To(BeTrue())
	one := w.a.inventory("here", selection{object: fmt.Sprintf("ConfigMap/default/n-%06d", maxObjects)})
	w.g.Expect(one.Objects).To(HaveLen(1))
	w.g.Expect(one.Truncated).To(BeFalse())
}

func TestEveryStageAndReasonHasAName(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for stage := delivery.StageFrozen; stage <= delivery.StageFailed; stage++ {
		g.Expect(states[stage]).NotTo(BeEmpty())
	}
	for reason := delivery.FailedRejected; reason <= delivery.FailedToRemove; reason++ {
		g.Expect(reasons[reason]).NotTo(BeEmpty())
	}
}

func TestTooManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.a.sessions.set("here")
	for range maxConcurrent {
		w.a.places <- struct{}{}
	}
	response := w.direct(w.a, apiServerCertificate(t), versionPath+"/nodeinventories/here", "admin", "system:masters")
	w.g.Expect(response.StatusCode).To(Equal(http.StatusTooManyRequests))
	w.g.Expect(response.Header.Get("Retry-After")).To(Equal("1"))
}
