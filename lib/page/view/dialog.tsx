import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** A modal dialog; the browser keeps the focus in it and gives it back. */
export function Dialog({ title, close, children }: { title: string; close?: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog ref={element} aria-label={title} onCancel={(event) => {
      event.preventDefault();
      close?.();
    }}>
      <div class="head">
        <h2>{title}</h2>
        {close && <button type="button" class="quiet close" aria-label="Close" onClick={close}>×</button>}
      </div>
      {children}
    </dialog>
  );
}
