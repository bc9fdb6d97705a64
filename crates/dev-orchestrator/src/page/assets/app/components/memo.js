import { Component, h } from "preact";

/**
 * A component that is drawn again only when its properties have changed.
 * @param {(props: any) => any} draw
 * @param {(before: any, after: any) => boolean} same
 */
export function memo(draw, same) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      return !same(this.props, next);
    }

    render(props) {
      return h(draw, props);
    }
  };
}
