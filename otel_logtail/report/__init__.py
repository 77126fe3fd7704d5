"""``report``: the local answer to "can I tolerate this?", as text and as one page, over what ``query`` says."""
