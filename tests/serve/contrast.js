() => {
    const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const numbers = (text) => text.match(/[\d.]+/g).map(Number);
    const root = getComputedStyle(document.documentElement), canvas = new OffscreenCanvas(1, 1).getContext("2d");
    const parse = (text) => {
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const walls = ["--wall", "--wall-lit"].map((name) => parse(root.getPropertyValue(name).trim()));
    const behind = (one) => {
        for (let at = one; at && at !== document.body; at = at.parentElement) {
            const style = getComputedStyle(at), [r, g, b, a = 1] = numbers(style.backgroundColor);
            if (a === 1 && style.backgroundColor !== "rgba(0, 0, 0, 0)") return [[r, g, b]];
        }
        return walls;
    };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const one = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
        if (!text || !one.checkVisibility() || one.closest("#frame, option, :disabled, .tools, script")) continue;
        const ink = light(numbers(getComputedStyle(one).color));
        for (const wall of behind(one)) {
            const [high, low] = [ink, light(wall)].sort((a, b) => b - a), ratio = (high + 0.05) / (low + 0.05);
            if (ratio < 4.5) found.push([text, ratio]);
        }
    }
    return found;
}
