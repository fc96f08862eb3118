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

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// The informer is ahead of the handlers by any time: what it has come to counts once they have it.
func TestReachedIsWhatTheHandlersHave(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	nothing := func(client.Object) {}
	f := &feed{saw: nothing, lost: nothing, news: func(_, _ client.Object) {}}
	node := func(name, version string) *syncv1alpha1.EdgeNode {
		return &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
	}
	reached := func() string {
		if version, ok := f.reached(store); ok {
			return version
		}
		return "behind"
	}
	store.Bookmark("5")
	g.Expect(reached()).To(Equal("5"), "there is nothing to take in")

	g.Expect(store.Add(node("a", "6"))).To(Succeed())
	g.Expect(reached()).To(Equal("behind"))
	f.OnAdd(node("a", "6"), true)
	g.Expect(reached()).To(Equal("6"))

	g.Expect(store.Update(node("a", "7"))).To(Succeed())
	store.Bookmark("8")
	g.Expect(reached()).To(Equal("behind"))
	f.OnUpdate(node("a", "6"), node("a", "7"))
	g.Expect(reached()).To(Equal("8"))

	g.Expect(store.Delete(node("a", "9"))).To(Succeed())
	g.Expect(store.Add(node("b", "10"))).To(Succeed())
	g.Expect(reached()).To(Equal("behind"))
	f.OnDelete(cache.DeletedFinalStateUnknown{Key: "a", Obj: node("a", "7")})
	g.Expect(reached()).To(Equal("behind"))
	f.OnAdd(node("b", "10"), false)
	g.Expect(reached()).To(Equal("10"))
}
