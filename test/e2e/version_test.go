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

package e2e

import (
	"time"

	"github.com/gorilla/websocket"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
	"github.com/edgesync/edgesync/internal/testing/agentsim"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// No API server gives a version that cannot be parsed, so it is a node that declares
// to hold some. What an agent does with one that it is sent, the tests of its store say.
var _ = Describe("A version that cannot be parsed", func() {
	It("is replaced, or removed, as any other", func(ctx SpecContext) {
		f := newFixture(ctx)
		settings := f.configMap("settings", "1")
		sync := f.sync("all", f.configMaps())
		create(ctx, settings, sync)
		n := f.nodeWithoutAgent(ctx)
		Eventually(statusOf).WithContext(ctx).WithArguments(sync).Should(HaveField("Offline", BeEquivalentTo(1)))
		conn := dial(ctx, n)

		key := func(name string) *pb.ObjectKey {
			return &pb.ObjectKey{Kind: "ConfigMap", Namespace: f.namespace, Name: name}
		}
		send(conn, &pb.AgentMessage{Body: &pb.AgentMessage_Inventory{Inventory: &pb.Inventory{Last: true, Entries: []*pb.InventoryEntry{
			heldAt("v1.2-beta", key("settings"), string(settings.UID)),
			heldAt("-1", key("gone"), "an-uid"),
			heldAt("", key("older"), "another-uid"),
		}}}})
		var put *pb.Put
		var deleted []string
		for put == nil || len(deleted) < 2 {
			for _, message := range receive(conn) {
				if p := message.GetPut(); p != nil {
					put = p
				}
				if d := message.GetDelete(); d != nil {
					deleted = append(deleted, d.GetKey().GetName()+" "+d.GetUid())
				}
			}
		}
		Expect(put.GetKey().GetName()).To(Equal("settings"))
		Expect(put.GetVersion()).To(Equal(settings.ResourceVersion))
		Expect(deleted).To(ConsistOf("gone an-uid", "older another-uid"))
	})
})

// nodeWithoutAgent makes an EdgeNode alone.
func (f *fixture) nodeWithoutAgent(ctx SpecContext) *node {
	GinkgoHelper()
	n := &node{Agent: world.Agent(f.namespace+"-raw", fleet.AgentOptions{})}
	f.nodes = append(f.nodes, n)
	edgeNode := n.edgeNode()
	edgeNode.Labels = f.labels()
	create(ctx, edgeNode)
	return n
}

// dial opens a session as a node that holds something, up to the question what.
func dial(ctx SpecContext, n *node) *websocket.Conn {
	GinkgoHelper()
	ca, err := castore.Load(ctx, admin, fleet.Namespace, time.Now())
	Expect(err).NotTo(HaveOccurred())
	edgeNode, err := n.get(ctx)
	Expect(err).NotTo(HaveOccurred())
	config, err := agentsim.TLSConfig(ca, pki.Node{Name: n.NodeName, UID: string(edgeNode.UID), Join: 1})
	Expect(err).NotTo(HaveOccurred())
	dialer := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}, TLSClientConfig: config}
	conn, response, err := dialer.DialContext(ctx, "wss://"+world.HubAddress()+protocol.SyncPath, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.Body.Close()).To(Succeed())
	DeferCleanup(conn.Close)
	system := &corev1.Namespace{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, system)).To(Succeed())
	digest := object.InventoryDigest([]object.Digest{{1}})
	send(conn, &pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: &pb.Hello{
		ProtocolVersions: []uint32{protocol.Version}, AgentVersion: "raw",
		ClusterEpoch:   string(system.UID), // so that versions can be compared
		InventoryCount: 3, InventoryDigest: digest[:],
	}}})
	for {
		for _, message := range receive(conn) {
			if message.GetNeedInventory() != nil {
				return conn
			}
		}
	}
}

func send(conn *websocket.Conn, messages ...*pb.AgentMessage) {
	GinkgoHelper()
	frame, err := protocol.EncodeAgent(messages...)
	Expect(err).NotTo(HaveOccurred())
	Expect(conn.WriteMessage(websocket.BinaryMessage, frame)).To(Succeed())
}

func receive(conn *websocket.Conn) []*pb.HubMessage {
	GinkgoHelper()
	Expect(conn.SetReadDeadline(time.Now().Add(deadline))).To(Succeed())
	_, frame, err := conn.ReadMessage()
	Expect(err).NotTo(HaveOccurred())
	messages, err := protocol.DecodeHub(frame)
	Expect(err).NotTo(HaveOccurred())
	return messages
}

func heldAt(version string, key *pb.ObjectKey, uid string) *pb.InventoryEntry {
	return &pb.InventoryEntry{
		Key: key, Uid: uid, Version: version, Digest: make([]byte, object.DigestSize), State: pb.ApplyState_APPLY_STATE_APPLIED,
	}
}
