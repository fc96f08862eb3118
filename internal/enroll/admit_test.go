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

package enroll

import (
	"errors"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func resultOf(err error) string {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.result
	}
	return ""
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	token, text, err := NewToken(template(func(t *Token) { t.Node = "edge-1" }))
	if err != nil {
		t.Fatal(err)
	}
	secret := text[len(token.ID)+1:]
	prefixed := *token
	prefixed.Node, prefixed.NodePrefix = "", "edge-"
	anyNode := *token
	anyNode.Node = ""
	used := *token
	used.Used, used.LastNode = 1, "edge-1"
	tests := map[string]struct {
		token  *Token
		secret string
		node   string
		at     time.Time
		want   string // result; empty: accepted
	}{
		"bound":               {token, secret, "edge-1", now, ""},
		"prefix":              {&prefixed, secret, "edge-7", now, ""},
		"any":                 {&anyNode, secret, "x", now, ""},
		"last moment":         {token, secret, "edge-1", now.Add(time.Hour - time.Second), ""},
		"expired":             {token, secret, "edge-1", now.Add(time.Hour), tokenExpired},
		"wrong":               {token, secret + "x", "edge-1", now, tokenWrong},
		"used":                {&used, secret, "edge-1", now, tokenUsed},
		"used and wrong":      {&used, "x", "edge-1", now, tokenWrong},
		"elsewhere":           {token, secret, "edge-10", now, tokenBoundElsewhere},
		"other prefix":        {&prefixed, secret, "core-7", now, tokenBoundElsewhere},
		"wrong comes first":   {token, "x", "edge-2", now.Add(2 * time.Hour), tokenWrong},
		"expired before name": {token, secret, "edge-2", now.Add(2 * time.Hour), tokenExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			err := checkToken(test.token, test.secret, test.node, test.at)
			g.Expect(resultOf(err)).To(Equal(test.want))
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			var refused *refusal
			g.Expect(errors.As(err, &refused)).To(BeTrue())
			g.Expect(refused.status).To(Equal(http.StatusUnauthorized))
			g.Expect(refused.public).To(Equal(publicTokenRefused))
		})
	}
}

func TestCheckNode(t *testing.T) {
	t.Parallel()
	fresh := func(change func(*syncv1alpha1.EdgeNode)) *syncv1alpha1.EdgeNode {
		node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
		change(node)
		return node
	}
	unchanged := fresh(func(*syncv1alpha1.EdgeNode) {})
	seen := fresh(func(n *syncv1alpha1.EdgeNode) { n.Status.LastSeenTime = &metav1.Time{Time: now} })
	online := fresh(func(n *syncv1alpha1.EdgeNode) { n.Status.Session = &syncv1alpha1.EdgeNodeSession{ID: "1"} })
	revoked := fresh(func(n *syncv1alpha1.EdgeNode) { n.Spec.Revoked = true })
	deleted := fresh(func(n *syncv1alpha1.EdgeNode) { n.DeletionTimestamp = &metav1.Time{Time: now} })
	joined := fresh(func(n *syncv1alpha1.EdgeNode) { n.Status.Joins = 1 })
	anyNode, prefix := &Token{}, &Token{NodePrefix: "edge-"}
	bound, rejoin := &Token{Node: "edge-1"}, &Token{Node: "edge-1", Rejoin: true}
	tests := map[string]struct {
		node  *syncv1alpha1.EdgeNode
		token *Token
		want  string // result; empty: accepted
	}{
		"new":                             {nil, anyNode, ""},
		"prepared, token for any node":    {unchanged, anyNode, nodeExists},
		"prepared, token for a prefix":    {unchanged, prefix, nodeExists},
		"prepared, token for it":          {unchanged, bound, ""},
		"joined, never connected":         {joined, bound, nodeExists},
		"joined, to be replaced":          {joined, rejoin, ""},
		"seen before":                     {seen, bound, nodeExists},
		"online":                          {online, bound, nodeExists},
		"seen before, to be replaced":     {seen, rejoin, ""},
		"online, to be replaced":          {online, rejoin, ""},
		"revoked":                         {revoked, bound, nodeRevoked},
		"revoked, token for any node":     {revoked, anyNode, nodeRevoked},
		"revoked stays so with a rejoin":  {revoked, rejoin, nodeRevoked},
		"being deleted, even with rejoin": {deleted, rejoin, nodeBeingDeleted},
		"being deleted and bound":         {deleted, bound, nodeBeingDeleted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			err := checkNode(test.node, test.token, false)
			g.Expect(resultOf(err)).To(Equal(test.want))
			g.Expect(err != nil).To(Equal(test.want != ""))
		})
	}
}
