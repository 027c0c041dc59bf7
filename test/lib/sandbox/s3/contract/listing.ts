import {DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, type ListObjectsV2CommandInput, type ListObjectsV2CommandOutput} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {bytesOf, expectRefusal, type Check, type World} from './world.ts'

async function fill({client}: World, Bucket: string, keys: readonly string[]): Promise<void> {
  for (let at = 0; at < keys.length; at += 25) {
    await Promise.all(keys.slice(at, at + 25).map((Key) => client.send(new PutObjectCommand({Bucket, Key, Body: Key}))))
  }
}

async function pagesOf({client}: World, input: ListObjectsV2CommandInput): Promise<ListObjectsV2CommandOutput[]> {
  const pages: ListObjectsV2CommandOutput[] = []
  for (let token: string | undefined; pages.length < 50; ) {
    const page = await client.send(new ListObjectsV2Command({...input, ...(token === undefined ? {} : {ContinuationToken: token})}))
    pages.push(page)
    if (page.IsTruncated !== true) break
    token = page.NextContinuationToken
  }
  return pages
}

const keysOf = (pages: readonly ListObjectsV2CommandOutput[]) => pages.flatMap(({Contents = []}) => Contents.map(({Key = ''}) => Key))
const prefixesOf = (pages: readonly ListObjectsV2CommandOutput[]) => pages.flatMap(({CommonPrefixes = []}) => CommonPrefixes.map(({Prefix = ''}) => Prefix))
const numbered = (count: number) => Array.from({length: count}, (_, index) => `list/${index % 3}/k${String(index).padStart(5, '0')}`)

export const listing: readonly Check[] = [
  {
    name: 'more than 1000 keys come in pages, in order, each once; 1000 can be deleted at once',
    async run(world) {
      const {client} = world
      const Bucket = await world.newBucket()
      const keys = numbered(1100)
      await fill(world, Bucket, keys)
      const pages = await pagesOf(world, {Bucket, Prefix: 'list/'})
      expect(pages.map(({KeyCount}) => KeyCount)).to.deep.equal([1000, 100])
      expect(keysOf(pages)).to.deep.equal([...keys].sort())
      const first = keysOf(pages).slice(0, 1000).map((Key) => ({Key}))
      expect((await client.send(new DeleteObjectsCommand({Bucket, Delete: {Objects: first}}))).Deleted).to.have.length(1000)
      expect(keysOf(await pagesOf(world, {Bucket}))).to.deep.equal([...keys].sort().slice(1000))
    },
  },
  {
    name: 'a delimiter gathers keys into prefixes, also across pages',
    async run(world) {
      const Bucket = await world.newBucket()
      await fill(world, Bucket, [...numbered(30), 'list/top', 'other'])
      const whole = await pagesOf(world, {Bucket, Prefix: 'list/', Delimiter: '/'})
      expect([prefixesOf(whole), keysOf(whole)]).to.deep.equal([['list/0/', 'list/1/', 'list/2/'], ['list/top']])
      const paged = await pagesOf(world, {Bucket, Prefix: 'list/', Delimiter: '/', MaxKeys: 2})
      expect([prefixesOf(paged), keysOf(paged), paged.length]).to.deep.equal([['list/0/', 'list/1/', 'list/2/'], ['list/top'], 2])
    },
  },
  {
    name: 'StartAfter and MaxKeys are kept',
    async run(world) {
      const Bucket = await world.newBucket()
      await fill(world, Bucket, ['a', 'b', 'c', 'd'])
      const page = await world.client.send(new ListObjectsV2Command({Bucket, StartAfter: 'b', MaxKeys: 1}))
      expect([keysOf([page]), page.IsTruncated]).to.deep.equal([['c'], true])
    },
  },
  {
    name: 'size and time of each object are told',
    async run(world) {
      const Bucket = await world.newBucket()
      await fill(world, Bucket, ['five5'])
      const [entry] = (await world.client.send(new ListObjectsV2Command({Bucket}))).Contents ?? []
      expect(entry).to.deep.include({Key: 'five5', Size: 5})
      expect(Math.abs(Date.now() - (entry?.LastModified?.getTime() ?? 0))).to.be.lessThan(60_000)
    },
  },
  {
    name: 'keys may hold any character',
    async run(world) {
      const Bucket = await world.newBucket()
      const keys = ['sp ace/a+b', 'uni/é✓𝄞', 'pct/%20x', 'd//dbl', '/slash', 'dots/../x', 'q?a=b&c', 'hash#x', "star*~!()'", 'quote"<&>']
      await fill(world, Bucket, keys)
      expect(keysOf(await pagesOf(world, {Bucket}))).to.have.members(keys)
      for (const Key of keys) expect((await bytesOf(await world.client.send(new GetObjectCommand({Bucket, Key})))).toString()).to.equal(Key)
    },
  },
  {
    name: 'keys are in the order of their bytes',
    async run(world) {
      const Bucket = await world.newBucket()
      const keys = ['a', 'B', 'é', 'ff\u{FB00}', 'ff\u{1D11E}', 'z', '~']
      await fill(world, Bucket, keys)
      expect(keysOf(await pagesOf(world, {Bucket}))).to.deep.equal([...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    },
  },
  {
    name: 'an empty prefix lists as empty, a missing bucket is an error',
    async run(world) {
      const {client, bucket} = world
      expect((await client.send(new ListObjectsV2Command({Bucket: bucket, Prefix: 'nothing-here/'}))).KeyCount).to.equal(0)
      await expectRefusal(client.send(new ListObjectsV2Command({Bucket: `${bucket}-none`})), 'NoSuchBucket', 404)
    },
  },
]
