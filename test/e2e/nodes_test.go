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
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A node", func() {
	It("whose EdgeNode is deleted is told to join again, and can", func(ctx SpecContext) {
		f := newFixture(ctx)
		n := f.start(ctx, "a")
		create(ctx, f.configMap("settings", "1"), f.sync("all", f.configMaps()))
		n.becomesMirrorOf(ctx, f.configMaps())

		remove(ctx, n.edgeNode())
		Eventually(n.statusText).WithContext(ctx).Should(ContainSubstring("there is no EdgeNode " + n.NodeName + ": join the node again"))
		n.becomesMirrorOf(ctx, f.configMaps())
		n.stop()
		Expect(os.Remove(filepath.Join(n.StateDir(), "identity.pem"))).To(Succeed())
		n = f.start(ctx, "a")
		n.becomesInSync(ctx)
		n.becomesMirrorOf(ctx, f.configMaps())
	})
})
