// As insert.js, but the object collects what arrives within GATHER_MS and commits it in one transaction.
import { Store as PlainStore } from "./insert.js";

export { default } from "./insert.js";

const GATHER_MS = 2;

export class Store extends PlainStore {
  waiting = [];

  insert(id, body) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ id, body, resolve, reject });
      if (this.waiting.length === 1) setTimeout(() => this.commit(), GATHER_MS);
    });
  }

  commit() {
    const batch = this.waiting;
    this.waiting = [];
    try {
      this.ctx.storage.transactionSync(() => {
        for (const { id, body } of batch) super.insert(id, body);
      });
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
