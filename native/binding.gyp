# Builds native/build/Release/weft.node: `npx node-gyp configure build -C native`.
{
  'targets': [
    {
      'target_name': 'weft',
      'sources': [
        'addon/exports.cc',
        'addon/failure.cc',
        'addon/log.cc',
        'addon/descriptor.cc',
        'addon/object.cc',
        'addon/program.cc',
        'addon/map.cc',
        'addon/map_batch.cc',
        'addon/link.cc',
        'addon/filter.cc',
        'addon/ring.cc',
        'addon/test_run.cc',
        'addon/probe.cc',
      ],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      # C++ exceptions live inside the addon only: node-addon-api turns every failed napi_status into one and
      # catches all of them where JavaScript called in.
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_CPP_EXCEPTIONS_ALL'],
      'cflags_cc': ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++20'],
      'libraries': ['-lbpf'],
    },
  ],
}
