// What client_node.sh runs: the JavaScript client against orch. argv: kubeconfig, module, image.
import { PassThrough } from 'node:stream';

const [kubeconfig, module, image] = process.argv.slice(2);
const k8s = await import(module);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'default';

let checks = 0;
function check(what, ok) {
  if (!ok) {
    console.error(`FAILED: ${what}`);
    process.exit(1);
  }
  checks += 1;
}
async function until(what, seconds, test) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    if (await test()) return check(what, true);
    await new Promise((done) => setTimeout(done, 100));
  }
  check(`${what}, within ${seconds} s`, false);
}

// list
const nodes = await core.listNode();
check('a node', nodes.items.length === 1 && nodes.items[0].status.nodeInfo.kubeletVersion.startsWith('v1.32'));
const page = await core.listNamespace({ limit: 2 });
check('a page of namespaces', page.items.length === 2 && page.metadata._continue);
const rest = await core.listNamespace({ limit: 100, _continue: page.metadata._continue });
check('the rest of them', rest.items.length >= 2 && rest.items[0].metadata.name > page.items[1].metadata.name);

// informer
const seen = { add: [], update: [], delete: [] };
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
  core.listNamespacedConfigMap({ namespace }));
for (const verb of Object.keys(seen)) informer.on(verb, (object) => seen[verb].push(object.metadata.name));
let stopping = false;  // stop() aborts the watch, which the client reports as an error
informer.on('error', (error) => check(`informer: ${error}`, stopping));
await informer.start();
await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'seen' }, data: { a: '1' } } });
await until('the informer adds', 10, () => seen.add.includes('seen'));

// patch, each kind
const patch = (contentType) => k8s.setHeaderOptions('Content-Type', contentType);
let map = await core.patchNamespacedConfigMap(
  { name: 'seen', namespace, body: [{ op: 'replace', path: '/data/a', value: '2' }] },
  patch(k8s.PatchStrategy.JsonPatch));
check('JSON patch', map.data.a === '2');
map = await core.patchNamespacedConfigMap(
  { name: 'seen', namespace, body: { data: { b: '3' } } }, patch(k8s.PatchStrategy.MergePatch));
check('merge patch', map.data.a === '2' && map.data.b === '3');
map = await core.patchNamespacedConfigMap(
  { name: 'seen', namespace, body: { metadata: { labels: { l: 'm' } } } },
  patch(k8s.PatchStrategy.StrategicMergePatch));
check('strategic merge patch', map.metadata.labels.l === 'm');
map = await core.patchNamespacedConfigMap(
  { name: 'seen', namespace, fieldManager: 'node', force: true,
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'seen' }, data: { a: '4' } } },
  patch(k8s.PatchStrategy.ServerSideApply));
check('apply', map.data.a === '4' && map.metadata.managedFields.some((entry) => entry.manager === 'node'));
await until('the informer updates', 10, () => seen.update.includes('seen'));
await core.deleteNamespacedConfigMap({ name: 'seen', namespace });
await until('the informer deletes', 10, () => seen.delete.includes('seen'));
stopping = true;
await informer.stop();

// errors are Status objects
try {
  await core.readNamespacedPod({ name: 'absent', namespace });
  check('an absent pod', false);
} catch (error) {
  check('404', error.code === 404 && JSON.parse(error.body).reason === 'NotFound');
}

// a deployment, then exec and log in its pod
const labels = { app: 'node' };
await apps.createNamespacedDeployment({ namespace, body: {
  metadata: { name: 'node' },
  spec: { replicas: 1, selector: { matchLabels: labels }, template: {
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image, imagePullPolicy: 'IfNotPresent' }] } } } } });
let pod;
await until('its pod runs', 30, async () => {
  const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=node' });
  pod = pods.items[0];
  return pod?.status.phase === 'Running';
});
let output = '';
const stdout = new PassThrough();
stdout.on('data', (data) => { output += data; });
const stdin = new PassThrough();
const status = await new Promise((done, failed) => {
  new k8s.Exec(config)
    .exec(namespace, pod.metadata.name, 'c', ['sh', '-c', 'read line; echo "got $line"; exit 3'], stdout,
      process.stderr, stdin, false, done)
    .catch(failed);
  stdin.write('a line\n');
});
check('exec: output', output === 'got a line\n');
check('exec: exit code', status.status === 'Failure' && status.details.causes.some((cause) => cause.message === '3'));
const log = await core.readNamespacedPodLog({ name: pod.metadata.name, namespace });
check('log', typeof log === 'string');
await apps.deleteNamespacedDeployment({ name: 'node', namespace, propagationPolicy: 'Foreground' });
await until('foreground deletion', 30, async () =>
  (await core.listNamespacedPod({ namespace, labelSelector: 'app=node' })).items.length === 0);
console.log(`${checks} checks`);
process.exit(0);
