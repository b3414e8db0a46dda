"""The study as one page, reports/index.html: it opens from its file alone, without a network. It reads files that stages
wrote and git keeps, of the root's study and of those under studies/, and no cell; equal files give equal bytes."""
