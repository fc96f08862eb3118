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
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

var _ = Describe("Delivery", func() {
	It("creates, updates and deletes an object on two nodes", func(ctx SpecContext) {
		f := newFixture(ctx)
		first, second := f.start(ctx, "a"), f.start(ctx, "b")
		settings := f.configMap("settings", "one")
		selected := f.configMaps().named("settings")
		sync := f.sync("settings", selected)
		create(ctx, settings, sync)

		first.becomesMirrorOf(ctx, selected)
		second.becomesMirrorOf(ctx, selected)
		Expect(first.fileOf(selected)).To(ContainSubstring("key: one"))
		becomesSynced(ctx, sync, 2, 1)
		Expect(sync.Status.ObjectResourceVersion).To(Equal(settings.ResourceVersion))

		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "two" })
		first.becomesMirrorOf(ctx, selected)
		second.becomesMirrorOf(ctx, selected)
		Expect(second.fileOf(selected)).To(ContainSubstring("key: two"))
		first.becomesInSync(ctx)

		remove(ctx, settings)
		first.becomesEmpty(ctx)
		second.becomesEmpty(ctx)
	})
})
