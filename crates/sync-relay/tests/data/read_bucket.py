"""What another client of NATS reads: read_bucket.py URL OBJECT KEY"""

import asyncio
import hashlib
import sys

import nats


async def main(url, name, key):
    client = await nats.connect(url)
    stream = client.jetstream()
    store = await stream.object_store("syncline")
    for info in await store.list():
        print("listed", info.name, info.size, info.chunks)
    found = await store.get(name)
    print("read", hashlib.sha256(found.data).hexdigest())
    entry = await (await stream.key_value("syncline")).get(key)
    print("key", entry.value.decode(), entry.revision)
    await store.delete(name)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
