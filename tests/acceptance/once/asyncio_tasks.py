import asyncio
import logging

logging.basicConfig(level=20)


async def task(number):
    for i in range(20):
        logging.info("task %d %d", number, i)
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*[task(number) for number in range(10)])


asyncio.run(main())
