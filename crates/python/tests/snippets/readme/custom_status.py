return {
    "status": "needs_manual_review",
    "data": {"reason": "Low confidence score"}
}
