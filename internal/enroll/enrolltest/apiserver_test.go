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

package enrolltest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

const (
	namespace = "edgesync-system"
	deadline  = time.Minute
)

// admin may do everything; manager only what config/rbac/role.yaml grants.
var (
	admin, manager client.Client
	recorder       events.EventRecorder
)

func TestEnroll(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(deadline)
	RunSpecs(t, "Enroll")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	assets, err := controlplane.Assets()
	Expect(err).NotTo(HaveOccurred())
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
		CRDDirectoryPaths:        []string{"../../../config/crd/bases"},
		ErrorIfCRDPathMissing:    true,
	}
	_, err = env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })

	s := runtime.NewScheme()
	Expect(scheme.AddToScheme(s)).To(Succeed())
	Expect(syncv1alpha1.AddToScheme(s)).To(Succeed())
	admin, err = client.New(env.Config, client.Options{Scheme: s})
	Expect(err).NotTo(HaveOccurred())
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	grantManagerRole(ctx, "manager")
	user, err := env.AddUser(envtest.User{Name: "manager"}, nil)
	Expect(err).NotTo(HaveOccurred())
	config := user.Config()
	config.QPS = -1 // as the manager does
	manager, err = client.New(config, client.Options{Scheme: s})
	Expect(err).NotTo(HaveOccurred())

	clientset, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: clientset.EventsV1()})
	DeferCleanup(broadcaster.Shutdown)
	recorder = broadcaster.NewRecorder(s, "edgesync-join")
	recording, stop := context.WithCancel(context.Background())
	DeferCleanup(stop)
	Expect(broadcaster.StartRecordingToSinkWithContext(recording)).To(Succeed())
})

// grantManagerRole gives a user the roles of the manager, as the manifest has them.
func grantManagerRole(ctx context.Context, user string) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
	for _, document := range strings.Split(string(data), "---\n") {
		var kind metav1.TypeMeta
		Expect(yaml.Unmarshal([]byte(document), &kind)).To(Succeed())
		switch kind.Kind {
		case "ClusterRole":
			role := &rbacv1.ClusterRole{}
			Expect(yaml.Unmarshal([]byte(document), role)).To(Succeed())
			Expect(admin.Create(ctx, role)).To(Succeed())
			Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: role.Name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			})).To(Succeed())
		case "Role":
			role := &rbacv1.Role{}
			Expect(yaml.Unmarshal([]byte(document), role)).To(Succeed())
			role.Namespace = namespace // as kustomize does
			Expect(admin.Create(ctx, role)).To(Succeed())
			Expect(admin.Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: role.Name, Namespace: namespace}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			})).To(Succeed())
		}
	}
}

func loadCA(ctx context.Context) (castore.Loaded, error) {
	return (&castore.Store{Client: manager, Namespace: namespace, Now: time.Now}).Load(ctx)
}

func newHandler(ctx context.Context) http.Handler { return enroll.NewJoinHandler(newConfig(ctx)) }

// newConfig is that of one more replica.
func newConfig(ctx context.Context) enroll.Config {
	loaded, err := loadCA(ctx)
	Expect(err).NotTo(HaveOccurred())
	return enroll.Config{
		CA: pki.NewAuthority(loaded.CA), NodeLifetime: time.Hour, RenewalGrace: time.Hour, Client: manager, Namespace: namespace,
		Recorder: recorder, Log: GinkgoLogr, Now: time.Now,
	}
}

func newToken(ctx context.Context, template enroll.Token) string {
	template.Expires = time.Now().Add(time.Hour)
	token, text, err := enroll.NewToken(template)
	Expect(err).NotTo(HaveOccurred())
	Expect(enroll.Tokens{Client: admin, Namespace: namespace}.Create(ctx, token)).To(Succeed())
	return text
}

func join(ctx context.Context, handler http.Handler, token, node string) *httptest.ResponseRecorder {
	body, err := json.Marshal(joinapi.Request{Token: token, Node: node, CSR: newCSR()})
	Expect(err).NotTo(HaveOccurred())
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodPost, joinapi.Path, bytes.NewReader(body)))
	return answer
}

func newCSR() string {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	csr, err := pki.NewRequest(key)
	Expect(err).NotTo(HaveOccurred())
	return string(csr)
}

// reasons are those of the events in a namespace that are about an object.
func reasons(ctx context.Context, in, kind, name string) ([]string, error) {
	list := &eventsv1.EventList{}
	if err := admin.List(ctx, list, client.InNamespace(in)); err != nil {
		return nil, err
	}
	var found []string
	for _, e := range list.Items {
		if e.Regarding.Kind == kind && e.Regarding.Name == name {
			found = append(found, e.Reason)
		}
	}
	return found, nil
}

var _ = Describe("A real API server", func() {
	It("keeps one CA for all replicas that start at once", func(ctx SpecContext) {
		hashes := make(chan string)
		const replicas = 4
		for range replicas {
			go func() {
				defer GinkgoRecover()
				loaded, err := loadCA(ctx)
				if err != nil {
					hashes <- err.Error()
					return
				}
				hashes <- loaded.CA.Hash()
			}()
		}
		first := <-hashes
		Expect(pki.ValidateHash(first)).To(Succeed(), first)
		for range replicas - 1 {
			Expect(<-hashes).To(Equal(first))
		}
	}, SpecTimeout(deadline))

	It("lets a node join, with no more rights than the manager's role grants", func(ctx SpecContext) {
		token := newToken(ctx, enroll.Token{Uses: 1, Labels: map[string]string{"region": "eu"}})
		id, _, err := joinapi.ParseToken(token)
		Expect(err).NotTo(HaveOccurred())
		handler := newHandler(ctx)

		answer := join(ctx, handler, token, "edge-1")

		Expect(answer.Code).To(Equal(http.StatusOK), answer.Body.String())
		node := &syncv1alpha1.EdgeNode{}
		Expect(admin.Get(ctx, client.ObjectKey{Name: "edge-1"}, node)).To(Succeed())
		Expect(node.Labels).To(HaveKeyWithValue("region", "eu"))
		Expect(join(ctx, handler, token, "edge-2").Code).To(Equal(http.StatusUnauthorized))
		Eventually(reasons).WithContext(ctx).WithArguments("default", "EdgeNode", "edge-1").Should(ContainElement(syncv1alpha1.ReasonJoined))
		Eventually(reasons).WithContext(ctx).WithArguments(namespace, "Secret", "edgesync-join-"+id).Should(ContainElement(enroll.ReasonTokenUsed))
	}, SpecTimeout(deadline))

	It("reports a wrong secret on the token", func(ctx SpecContext) {
		token := newToken(ctx, enroll.Token{Uses: 1})
		id, secret, err := joinapi.ParseToken(token)
		Expect(err).NotTo(HaveOccurred())
		Expect(join(ctx, newHandler(ctx), joinapi.FormatToken(id, secret+"x"), "edge-9").Code).To(Equal(http.StatusUnauthorized))
		Eventually(reasons).WithContext(ctx).WithArguments(namespace, "Secret", "edgesync-join-"+id).Should(ContainElement(enroll.ReasonTokenWrong))
	}, SpecTimeout(deadline))

	It("lets a token in as often as it has uses, through several replicas at once", func(ctx SpecContext) {
		const machines = 12
		for _, uses := range []int{1, 5} {
			token := newToken(ctx, enroll.Token{Uses: uses})
			replicas := []http.Handler{newHandler(ctx), newHandler(ctx), newHandler(ctx)}
			codes := make(chan int)
			for i := range machines {
				go func() {
					defer GinkgoRecover()
					codes <- join(ctx, replicas[i%len(replicas)], token, fmt.Sprintf("many-%d-%d", uses, i)).Code
				}()
			}
			count := map[int]int{}
			for range machines {
				count[<-codes]++
			}
			Expect(count).To(Equal(map[int]int{http.StatusOK: uses, http.StatusUnauthorized: machines - uses}))
		}
	}, SpecTimeout(deadline))

	It("lists tokens by their type and revokes them", func(ctx SpecContext) {
		tokens := enroll.Tokens{Client: admin, Namespace: namespace}
		token := newToken(ctx, enroll.Token{Uses: 1, Node: "edge-7"})
		id, _, err := joinapi.ParseToken(token)
		Expect(err).NotTo(HaveOccurred())
		listed := func() []string {
			found, err := tokens.List(ctx)
			Expect(err).NotTo(HaveOccurred(), "the CA's Secret is not among them")
			var ids []string
			for _, t := range found {
				ids = append(ids, t.ID)
			}
			return ids
		}
		Expect(listed()).To(ContainElement(id))
		Expect(tokens.Revoke(ctx, id)).To(Succeed())
		Expect(listed()).NotTo(ContainElement(id))
	}, SpecTimeout(deadline))

	It("does not let the manager read other Secrets", func(ctx SpecContext) {
		key := client.ObjectKey{Namespace: "default", Name: "any"}
		Expect(apierrors.IsForbidden(manager.Get(ctx, key, &corev1.Secret{}))).To(BeTrue())
		Expect(apierrors.IsForbidden(manager.List(ctx, &corev1.SecretList{}))).To(BeTrue())
	}, SpecTimeout(deadline))
})
