"""Django REST framework with model serializers and Django's own pool."""
