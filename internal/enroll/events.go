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
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

const (
	actionJoin  = "Join"
	actionRenew = "Renew"

	maxNoteBytes = 1024 // that the API server accepts
)

// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// tell makes an Event. Its regarding is a reference and not the object, so that nothing
// of a Secret gets near the recorder.
func (e *endpoint) tell(about *corev1.ObjectReference, eventType, reason, action, note string, args ...any) {
	text := fmt.Sprintf(note, args...)
	if len(text) > maxNoteBytes {
		text = strings.ToValidUTF8(text[:maxNoteBytes], "")
	}
	e.Recorder.Eventf(about, nil, eventType, reason, action, "%s", text)
}

func aboutNode(name string, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: syncv1alpha1.GroupVersion.String(), Kind: "EdgeNode", Name: name, UID: uid}
}

func aboutSecret(secret *corev1.Secret) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID}
}

// aboutNamespace is for tokens that do not exist, so that made-up IDs fold into one
// series of Events.
func aboutNamespace(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: name, Name: name}
}
