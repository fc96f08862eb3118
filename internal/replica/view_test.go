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

package replica

import (
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func leaseOf(name, identity string, version int) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: leasePrefix + name, ResourceVersion: strconv.Itoa(version),
			Annotations: map[string]string{addressAnnotation: name + ":10443"},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity},
	}
}

func TestViewJudgesByItsOwnRenewals(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	v, version := newView("a", "a_2"), 0
	sees := func(name, identity string) []change {
		version++
		return v.see(leaseOf(name, identity, version))
	}

	g.Expect(sees("a", "a_1")).To(BeEmpty(), "the process before is nobody else")
	g.Expect(v.now).To(BeZero())
	g.Expect(sees("b", "b_1")).To(Equal([]change{{"b", true}}))
	g.Expect(sees("c", "c_1")).To(Equal([]change{{"c", true}}))
	for range patience {
		g.Expect(sees("a", "a_2")).To(BeEmpty())
	}
	g.Expect(sees("b", "b_1")).To(BeEmpty())
	for range 100 {
		g.Expect(v.see(leaseOf("a", "a_2", version-1))).To(BeEmpty(), "it is listed again, without having been renewed")
	}
	g.Expect(sees("a", "a_2")).To(Equal([]change{{"c", false}}))
	g.Expect(v.peers["b"].alive).To(BeTrue())

	g.Expect(v.see(leaseOf("c", "c_1", 3))).To(BeEmpty(), "it is listed again, as it was")
	g.Expect(v.peers["c"].alive).To(BeFalse())
	g.Expect(sees("c", "c_2")).To(Equal([]change{{"c", true}}), "it is back")
}

func TestViewLosesWhoShutsDown(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	v := newView("a", "a_1")
	g.Expect(v.lose(leaseOf("b", "b_1", 1))).To(BeEmpty())
	v.see(leaseOf("b", "b_1", 2))
	g.Expect(v.lose(leaseOf("b", "b_1", 3))).To(Equal([]change{{"b", false}}))
	g.Expect(v.peers).To(BeEmpty())
	g.Expect(v.see(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "other", ResourceVersion: "4"}})).To(BeEmpty())
	g.Expect(v.peers).To(BeEmpty())
}

func TestViewForgetsWhoHasBeenDeadForLong(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	v := newView("a", "a_1")
	v.see(leaseOf("b", "b_1", 1))
	for now := range remembrance {
		v.see(leaseOf("a", "a_1", 2+now))
	}
	g.Expect(v.forgotten()).To(BeEmpty())
	v.see(leaseOf("a", "a_1", 2+remembrance))
	g.Expect(v.forgotten()).To(Equal(map[string]string{leasePrefix + "b": "1"}))
}
