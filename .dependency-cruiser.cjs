/**
 * The dependency rule. An import, of types too, points down this list only:
 *
 *   5  main  daemon  preflight            compose everything
 *   4  docker  control  metrics  cli      drive the overlay: from outside they are asked (cli: asks, through control/client)
 *   3  overlay                            the use cases
 *   2  store  datapath  journal  probe  engine
 *                                         adapters behind the ports; none sees another, or the overlay
 *   1  ports                              what the overlay needs
 *   1  netlink  native  socket            the kernel, with core values only
 *   0  core                               pure: nothing but ip-address
 *      errors                             from anywhere
 *
 * Each folder lists what it may import; everything else is forbidden. Each library has one door.
 */

const errors = '^src/errors\\.ts$';

/** What each part may import besides itself, errors, Node's own modules and packages (which `doors` judges). */
const layers = [
  { name: 'core', from: '^src/core/', to: [] },
  { name: 'ports', from: '^src/ports/', to: ['^src/core/'] },
  { name: 'netlink', from: '^src/netlink/', to: ['^src/core/'] },
  { name: 'native', from: '^src/native/', to: ['^src/core/'] },
  { name: 'socket', from: '^src/socket/', to: [] },
  { name: 'store', from: '^src/store/', to: ['^src/ports/', '^src/core/'] },
  { name: 'journal', from: '^src/journal/', to: ['^src/ports/', '^src/core/'] },
  { name: 'engine', from: '^src/engine/', to: ['^src/ports/', '^src/core/'] },
  { name: 'probe', from: '^src/probe/', to: ['^src/ports/', '^src/core/'] },
  // Whatever chooses between data paths may see them; a data path sees no other.
  { name: 'data-path-choice', from: '^src/datapath/[^/]+$', to: ['^src/datapath/', '^src/ports/', '^src/core/', '^src/netlink/', '^src/native/'] },
  { name: 'data-path-ebpf', from: '^src/datapath/ebpf/', to: ['^src/datapath/[^/]+$', '^src/ports/', '^src/core/', '^src/netlink/', '^src/native/'] },
  { name: 'data-path-bridge', from: '^src/datapath/bridge/', to: ['^src/datapath/[^/]+$', '^src/ports/', '^src/core/', '^src/netlink/'] },
  { name: 'overlay', from: '^src/overlay/', to: ['^src/ports/', '^src/core/'] },
  { name: 'docker', from: '^src/docker/', to: ['^src/overlay/(requests|report)\\.ts$', '^src/ports/', '^src/core/', '^src/socket/'] },
  { name: 'control', from: '^src/control/', to: ['^src/overlay/report\\.ts$', '^src/ports/', '^src/core/', '^src/socket/'] },
  { name: 'metrics', from: '^src/metrics/', to: ['^src/overlay/report\\.ts$', '^src/ports/', '^src/core/'] },
  { name: 'cli', from: '^src/cli/', to: ['^src/control/client\\.ts$', '^src/(settings|version|config)\\.ts$'] },
  { name: 'config', from: '^src/config\\.ts$', to: ['^src/settings\\.ts$', '^src/core/'] },
  { name: 'log', from: '^src/log\\.ts$', to: ['^src/ports/log\\.ts$'] },
  { name: 'leaves', from: '^src/(errors|settings|version|scope)\\.ts$', to: [] },
];

/** A package, and the only files that may import it. */
const doors = [
  { library: 'ip-address', only: '^src/core/address\\.ts$' },
  { library: 'node-netlink', only: '^src/netlink/socket\\.ts$' },
  { library: 'raw-socket', only: '^src/probe/' },
  { library: 'consul', only: '^src/store/consul' },
  { library: 'lmdb', only: '^src/store/lmdb' },
  { library: 'zod', only: '^src/((docker|control)/messages|config|store/codec|journal/[^/]+|engine/(answers|engine))\\.ts$' },
  { library: 'pino', only: '^src/log\\.ts$' },
  { library: 'prom-client', only: '^src/metrics/exposition\\.ts$' },
  { library: 'commander', only: '^src/cli/' },
  
];

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'every-file-has-a-layer',
      comment: 'a new folder or file at the top of src needs a line above',
      severity: 'error',
      from: { pathNot: [...layers.map(({ from }) => from), '^src/(main|daemon|preflight)\\.ts$', '^(?!src/)'] },
      to: {},
    },
    ...layers.map(({ name, from, to }) => ({
      name: `${name}-points-down`,
      severity: 'error',
      from: { path: from },
      to: { path: '^(src|test|bench|scripts)/', pathNot: [from, errors, ...to] },
    })),
    { name: 'nobody-imports-the-root', severity: 'error', from: { pathNot: '^src/(main|daemon)\\.ts$' }, to: { path: '^src/(main|daemon|preflight)\\.ts$' } },
    {
      name: 'src-stands-alone',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    { name: 'core-is-pure', severity: 'error', from: { path: '^src/core/' }, to: { dependencyTypes: ['core'] } },
    // Commands start fast: they know how to reach a daemon, not how to be one.
    {
      name: 'configuration-is-for-the-daemon',
      severity: 'error',
      from: { path: '^src/cli/', pathNot: '^src/cli/daemon\\.ts$' },
      to: { path: '^src/config\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    ...doors.map(({ library, only }) => ({
      name: `one-door-to-${library}`,
      severity: 'error',
      from: { path: '^src/', pathNot: only },
      to: { path: `^node_modules/${library}/` },
    })),
    {
      name: 'no-other-packages',
      comment: 'a new dependency gets its door',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^node_modules/', pathNot: `^node_modules/(${doors.map(({ library }) => library).join('|')})/` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
