import type {Readable} from 'node:stream'

/** An object at rest. Keys are relative to the repository root and use `/`. */
export interface StoredObject {
  key: string
  bytes: number
  modifiedAt: Date
  /** Of the whole object, hex, where the store keeps one that it has itself computed or verified. */
  sha256?: string
}

/**
 * How it is known that the destination holds the bytes that were sent.
 * `store-sha256`: the store verified SHA-256 itself (for a multipart object: of each part, and the composite of the parts agrees).
 * `reread`: every byte was read back and hashed. In a folder that is the file under its final inode after fsync, read through the
 * operating system's cache: it proves what the file system holds, not what the disk's surface does.
 */
export type Proof = 'store-sha256' | 'reread'

export interface PutResult {
  bytes: number
  sha256: string
  proof: Proof
}

export interface PutOptions {
  signal?: AbortSignal
  /** Bytes of this object that have arrived so far. */
  progress?: (bytes: number) => void
  /** Only for a lease: replaces an existing object. Everything else is written once. */
  overwrite?: boolean
  /** What the caller has already computed, hex. Bytes that do not hash to it are not stored: `storage.corrupt`. */
  sha256?: string
}

/** What a put that was killed has left behind. It is no object: no reader sees it, but it takes space. */
export interface AbandonedUpload {
  key: string
  id: string
  startedAt: Date
}

export interface ReadOptions {
  signal?: AbortSignal
  /** First byte, from 0. */
  offset?: number
}

/**
 * A place that holds backups. Every driver passes one contract suite. The obligations:
 * - Failure is always an error: `list` of an unreachable store throws, it never yields nothing.
 * - `put` and `putFile` are all or nothing: until they resolve, no reader sees the key; after a failure or an abort no part of it
 *   remains (unfinished multipart uploads are aborted). An existing key is an error (`storage.exists`) and stays as it is.
 * - They resolve only when the bytes at the destination are proven against the SHA-256 of what was sent.
 * - A stream from `read` that cannot be completed ends in an error, never early: its bytes always count up to the object's size.
 * - Temporary trouble (throttling, a cut connection, 5xx) is retried inside, a bounded number of times.
 * - A key is a relative path of names: `storage.bad-key` for an absolute one, for empty names, `.` and `..`.
 * - Errors are `DrError`s: `storage.not-found`, `storage.exists`, `storage.full` (exit 1), `storage.denied`, `storage.no-bucket`,
 *   `storage.wrong-region`, `storage.unreachable` (exit 5), `storage.corrupt` (verification); none holds a secret.
 *   An abort rejects with the signal's reason.
 */
export interface Storage {
  readonly kind: 'local' | 's3'
  /** For people and manifests: `s3://bucket/prefix` or an absolute path. No secrets. */
  readonly location: string
  /** Every object whose key begins with `prefix`, in key order (code units), however many there are. */
  list(prefix: string, options?: {signal?: AbortSignal}): AsyncIterable<StoredObject>
  /** The names directly below `prefix` (which ends with `/` or is empty), without it and without the slash, in order. */
  folders(prefix: string, options?: {signal?: AbortSignal}): Promise<string[]>
  /** Undefined when there is no such object. */
  stat(key: string, options?: {signal?: AbortSignal}): Promise<StoredObject | undefined>
  put(key: string, body: string | Buffer, options?: PutOptions): Promise<PutResult>
  /** The file may be taken over (linked, not copied): the caller no longer writes to it. Memory stays bounded at any size. */
  putFile(key: string, path: string, options?: PutOptions): Promise<PutResult>
  read(key: string, options?: ReadOptions): Promise<Readable>
  /** Removing what is not there is no error. */
  remove(key: string, options?: {signal?: AbortSignal}): Promise<void>
  /** Begun longer ago than this and never finished: of any run, so the age must exceed the longest upload. */
  abandonedUploads(olderThanMs: number, options?: {signal?: AbortSignal}): Promise<AbandonedUpload[]>
  /** Frees what an abandoned upload holds. One that is gone is no error. */
  abortUpload(upload: AbandonedUpload, options?: {signal?: AbortSignal}): Promise<void>
  /** Throws the error that any use would meet (bucket missing, access denied, folder not writable). Changes nothing that lasts. */
  check(options?: {signal?: AbortSignal}): Promise<void>
  close(): Promise<void>
}
