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
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
)

// maxRecorded certificates are kept in the status of an EdgeNode.
const maxRecorded = 5

// conflictBackoff is for what many replicas change at the same time.
var conflictBackoff = wait.Backoff{Steps: 20, Duration: 10 * time.Millisecond, Factor: 1.2, Jitter: 1}

// +kubebuilder:rbac:groups=sync.edgesync.io,resources=edgenodes/status,verbs=patch

// issuance is a certificate that is asked for.
type issuance struct {
	key    crypto.PublicKey
	reason string // of syncv1alpha1.IssuedCertificate
	remote string
	// admit reads the EdgeNode, and tells whom the certificate is issued to. It is asked
	// again if the EdgeNode changes before the certificate is recorded in it.
	admit func(context.Context) (*syncv1alpha1.EdgeNode, pki.Node, error)
}

// issue signs a certificate and records it in the status of the EdgeNode. Nobody gets
// one that is not recorded there; one that is may have been lost on the way.
func (e *endpoint) issue(ctx context.Context, asked issuance) (*x509.Certificate, *syncv1alpha1.EdgeNode, error) {
	var cert *x509.Certificate
	var node *syncv1alpha1.EdgeNode
	err := retryConflicts(ctx, func() error {
		var owner pki.Node
		var err error
		if node, owner, err = asked.admit(ctx); err != nil {
			return err
		}
		if cert, err = e.CA.IssueNode(owner, asked.key, e.NodeLifetime, e.Now()); err != nil {
			return err
		}
		before := node.DeepCopy()
		record(&node.Status, owner.Join, syncv1alpha1.IssuedCertificate{
			Serial:        serialOf(cert),
			Reason:        asked.reason,
			IssuedTime:    metav1.NewTime(e.Now()),
			NotAfter:      metav1.NewTime(cert.NotAfter),
			RemoteAddress: asked.remote,
		})
		err = e.Client.Status().Patch(ctx, node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if err != nil {
			return fmt.Errorf("record the certificate in EdgeNode %s: %w", node.Name, err)
		}
		return nil
	})
	return cert, node, err
}

// record puts a certificate in front of those that the status keeps. The count of joins
// never falls behind the certificates that are about: an EdgeNode that was restored
// without its status learns it from them.
func record(status *syncv1alpha1.EdgeNodeStatus, join int64, issued syncv1alpha1.IssuedCertificate) {
	status.Joins = max(status.Joins, join)
	earlier := status.Certificates[:min(len(status.Certificates), maxRecorded-1)]
	status.Certificates = append([]syncv1alpha1.IssuedCertificate{issued}, earlier...)
}

// retryConflicts tries until the outcome is anything but a conflict, at most as often as
// conflictBackoff says.
func retryConflicts(ctx context.Context, attempt func() error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, conflictBackoff, func(context.Context) (bool, error) {
		last = attempt()
		return !apierrors.IsConflict(last), nil
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return last
}

// node returns nil if there is none of that name.
func (e *endpoint) node(ctx context.Context, name string) (*syncv1alpha1.EdgeNode, error) {
	node := &syncv1alpha1.EdgeNode{}
	err := e.Client.Get(ctx, client.ObjectKey{Name: name}, node)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read EdgeNode %s: %w", name, err)
	}
	return node, nil
}
