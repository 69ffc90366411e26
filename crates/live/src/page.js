'use strict';
const link = document.getElementById('link');
const ends = new WeakMap();
const note = (root) => {
  for (const left of root.querySelectorAll('[data-left]')) {
    ends.set(left, performance.now() + Number(left.dataset.left));
  }
};
const tick = () => {
  for (const left of document.querySelectorAll('[data-left]')) {
    const seconds = Math.max(0, Math.ceil((ends.get(left) - performance.now()) / 1000));
    left.textContent = seconds + ' s';
  }
};
const say = (text, lost) => {
  link.textContent = text;
  link.classList.toggle('lost', lost);
};
note(document);
setInterval(tick, 500);
const source = new EventSource('events');
source.addEventListener('sections', (event) => {
  const sections = JSON.parse(event.data);
  for (const id in sections) {
    const section = document.getElementById(id);
    section.innerHTML = sections[id];
    note(section);
  }
  tick();
  document.title = document.getElementById('headline').dataset.title;
  say('Live: the page follows the run by itself.', false);
});
source.addEventListener('error', () => {
  say('Not connected: the coordinator has ended, or starts again. This is the last that it showed.', true);
});
