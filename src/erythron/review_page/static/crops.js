// Pictures of cells: fetched many at a time, as they come into view.

import { readBytes } from "./api.js";

const AT_ONCE = 40;
const MOST_KEPT = 6000;

export class Crops {
  constructor() {
    this.urls = new Map();
    this.wanted = new Map();
    this.isAsked = false;
  }

  /** Show the crop of a cell in an image element, now or as soon as it is there. */
  show(image, key) {
    image.dataset.key = key;
    const url = this.urls.get(key);
    if (url !== undefined) {
      image.src = url;
      return;
    }
    image.removeAttribute("src");
    if (!this.wanted.has(key)) {
      this.wanted.set(key, new Set());
    }
    this.wanted.get(key).add(image);
    if (!this.isAsked) {
      this.isAsked = true;
      queueMicrotask(() => this.fetchAll());
    }
  }

  async fetchAll() {
    while (this.wanted.size) {
      const some = [...this.wanted].slice(0, AT_ONCE).filter(([key, images]) => {
        this.wanted.delete(key);
        return [...images].some((image) => image.dataset.key === key);
      });
      if (some.length) {
        await this.fetchSome(some);
      }
    }
    this.isAsked = false;
  }

  async fetchSome(some) {
    let bytes;
    try {
      bytes = await readBytes(`/api/crops?cells=${some.map(([key]) => key).join(",")}`);
    } catch {
      return; // the tile stays empty, and is asked for again when it comes into view
    }
    const view = new DataView(bytes);
    let at = 0;
    for (const [key, images] of some) {
      const length = view.getUint32(at);
      const url = URL.createObjectURL(new Blob([new Uint8Array(bytes, at + 4, length)], { type: "image/jpeg" }));
      at += 4 + length;
      this.urls.set(key, url);
      for (const image of images) {
        if (image.dataset.key === key) {
          image.src = url;
        }
      }
    }
    for (const [key, url] of this.urls) {
      if (this.urls.size <= MOST_KEPT) {
        break;
      }
      URL.revokeObjectURL(url);
      this.urls.delete(key);
    }
  }
}
