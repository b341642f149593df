import asyncio


async def load():
    raise ValueError("bad row")


async def main():
    print("last word", flush=True)
    task = asyncio.create_task(load())
    await asyncio.sleep(0.05)
    del task


asyncio.run(main())
