// SPDX-License-Identifier: Apache-2.0
// The export list, in the order of the declarations in src/native/addon.ts.
#include <napi.h>

#include "descriptor.h"
#include "filter.h"
#include "link.h"
#include "log.h"
#include "map.h"
#include "map_batch.h"
#include "object.h"
#include "probe.h"
#include "program.h"
#include "ring.h"
#include "test_run.h"

struct Export {
  const char* name;
  Napi::Value (*function)(const Napi::CallbackInfo&);
};

static constexpr Export kExports[] = {
    {"loadObject", LoadObject},
    {"programInfo", ProgramInfo},
    {"mapInfo", MapInfo},
    {"mapLookup", MapLookup},
    {"mapUpdate", MapUpdate},
    {"mapDelete", MapDelete},
    {"mapEntries", MapEntries},
    {"mapDigest", MapDigest},
    {"mapUpdateBatch", MapUpdateBatch},
    {"mapDeleteBatch", MapDeleteBatch},
    {"createArray", CreateArray},
    {"mapById", MapById},
    {"pin", Pin},
    {"openPinned", OpenPinned},
    {"closeFd", CloseFd},
    {"attachTcx", AttachTcx},
    {"updateLink", UpdateLink},
    {"linkInfo", LinkInfo},
    {"attachClsact", AttachClsact},
    {"detachClsact", DetachClsact},
    {"clsactInfo", ClsactInfo},
    {"ringOpen", RingOpen},
    {"ringDrain", RingDrain},
    {"ringClose", RingClose},
    {"testRun", TestRun},
    {"probeTcx", ProbeTcx},
    {"probeHelper", ProbeHelper},
    {"probeMapType", ProbeMapType},
    {"probeResizableInnerMaps", ProbeResizableInnerMaps},
    {"probeAdjustRoom", ProbeAdjustRoom},
    {"possibleCpus", PossibleCpus},
};

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  InstallLog();
  for (const Export& entry : kExports)
    exports.Set(entry.name, Napi::Function::New(env, entry.function, entry.name));
  return exports;
}

NODE_API_MODULE(weft, Init)
