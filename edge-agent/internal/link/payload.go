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

package link

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// checkPayload says why an object can never be stored here, whatever the retries.
func checkPayload(put *pb.Put, maxBytes int) error {
	if len(put.GetPayload()) > maxBytes {
		return fmt.Errorf("the object has %d bytes, this agent takes at most %d (--max-object-bytes)",
			len(put.GetPayload()), maxBytes)
	}
	if put.GetUid() == "" || put.GetVersion() == "" || put.GetResource() == "" {
		return errors.New("the object comes without uid, version or resource")
	}
	payload, err := identify(put.GetPayload())
	if err != nil {
		return err
	}
	if payload.apiVersion != put.GetApiVersion() {
		return fmt.Errorf("the payload has apiVersion %q, it was announced with %q", payload.apiVersion, put.GetApiVersion())
	}
	key := put.GetKey()
	announced := object.Key{Group: key.GetGroup(), Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName()}
	if payload.key != announced {
		return fmt.Errorf("the payload is %s, it was announced as %s", payload.key, announced)
	}
	return nil
}

type identified struct {
	apiVersion string
	key        object.Key
}

// identify reads what a payload says about itself. Field names count in their exact
// case, as for Kubernetes.
func identify(payload []byte) (identified, error) {
	var content struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(payload, &content); err != nil {
		return identified{}, fmt.Errorf("the payload is not the JSON of an object: %w", err)
	}
	gv, err := schema.ParseGroupVersion(content.APIVersion)
	if err != nil {
		return identified{}, fmt.Errorf("the payload: %w", err)
	}
	return identified{
		apiVersion: content.APIVersion,
		key: object.Key{
			Group:     gv.Group,
			Kind:      content.Kind,
			Namespace: content.Metadata.Namespace,
			Name:      content.Metadata.Name,
		},
	}, nil
}
