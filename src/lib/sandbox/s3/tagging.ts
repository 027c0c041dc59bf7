import {receiveText} from './body.ts'
import type {Exchange, Reply} from './exchange.ts'
import {findVersion} from './find-version.ts'
import {checkTags, versionHeaders} from './traits.ts'
import {childrenOf, group, parseXml, tag, textOf, xmlDocument} from './xml.ts'

const headersOf = (exchange: Exchange) => versionHeaders(findVersion(exchange), exchange.bucket.settings.versioning)

export function getTagging(exchange: Exchange): Reply {
  const {tags} = findVersion(exchange)
  return {headers: headersOf(exchange), xml: xmlDocument('Tagging', group('TagSet', ...tags.map(([name, value]) => group('Tag', tag('Key', name), tag('Value', value)))))}
}

export async function putTagging(exchange: Exchange): Promise<Reply> {
  findVersion(exchange)
  const set = childrenOf(parseXml(await receiveText(exchange), 'Tagging'), 'TagSet').flatMap((element) => childrenOf(element, 'Tag'))
  const tags = set.map((element): [string, string] => [textOf(element, 'Key') ?? '', textOf(element, 'Value') ?? ''])
  checkTags(tags)
  const version = findVersion(exchange)
  version.tags = tags
  exchange.bucket.save(version)
  return {headers: headersOf(exchange)}
}

export function deleteTagging(exchange: Exchange): Reply {
  const version = findVersion(exchange)
  version.tags = []
  exchange.bucket.save(version)
  return {status: 204, headers: headersOf(exchange)}
}
