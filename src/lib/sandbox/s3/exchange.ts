import type {IncomingMessage} from 'node:http'
import type {Bucket, ObjectVersion} from './bucket.ts'
import type {Line} from './line.ts'
import {s3Error} from './s3-error.ts'
import type {Signature} from './signature.ts'
import type {Store} from './store.ts'

/** The account that owns everything here. */
export const owner = {id: 'sandbox', account: '123456789012', name: 'sandbox'}

export interface Target {
  bucket: string
  key: string
  query: ReadonlyMap<string, string>
}

export interface ExchangeParts {
  request: IncomingMessage
  line: Line
  target: Target
  store: Store
  region: string
  signature: Signature
}

/** One authenticated request, and all that an operation needs to answer it. */
export class Exchange {
  readonly request: IncomingMessage
  readonly line: Line
  readonly target: Target
  readonly store: Store
  readonly region: string
  readonly signature: Signature

  constructor(parts: ExchangeParts) {
    this.request = parts.request
    this.line = parts.line
    this.target = parts.target
    this.store = parts.store
    this.region = parts.region
    this.signature = parts.signature
  }

  get bucket(): Bucket {
    return this.store.bucket(this.target.bucket)
  }

  get key(): string {
    return this.target.key
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return Array.isArray(value) ? value.join(',') : value
  }

  query(name: string): string | undefined {
    return this.target.query.get(name)
  }

  /** A count in the query. */
  number(name: string, fallback: number, most: number): number {
    const text = this.query(name)
    if (text === undefined || text === '') return fallback
    if (!/^\d{1,10}$/.test(text)) throw s3Error('InvalidArgument', `Provided ${name} not an integer or within integer range`)
    return Math.min(Number(text), most)
  }
}

export type Headers = Record<string, string | number | undefined>

/** A range of an object's bytes, to be sent as the body. */
export interface Content {
  bucket: Bucket
  version: ObjectVersion
  start: number
  bytes: number
}

export interface Reply {
  /** 200 unless said otherwise. */
  status?: number
  headers?: Headers
  xml?: string
  content?: Content
}

export type Operation = (exchange: Exchange) => Reply | Promise<Reply>
