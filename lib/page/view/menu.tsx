import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";

/** A button that opens a panel over the page; it closes after a choice, on Escape and when the focus leaves. */
export function Menu({ title, children }: { title: string; children: ComponentChildren }) {
  const element = useRef<HTMLDetailsElement>(null);
  const close = (): void => { element.current!.open = false; };
  return (
    <details class="menu" ref={element}
      onKeyDown={({ key }) => {
        if (key !== "Escape") return;
        close();
        element.current!.querySelector("summary")!.focus();
      }}
      onFocusOut={({ relatedTarget }) => {
        if (relatedTarget instanceof Node && !element.current!.contains(relatedTarget)) close();
      }}>
      <summary>{title}</summary>
      <div class="panel" onClick={({ target }) => { if (target instanceof HTMLButtonElement) close(); }}>{children}</div>
    </details>
  );
}
